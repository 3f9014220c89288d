"""How a version is opened: to talk to, to be served, to be trained from or proven. Loads PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from sonneteer import serving
from sonneteer.backends import export as exporting
from sonneteer.backends.engines import versions_of
from sonneteer.backends.local import LocalBackend
from sonneteer.chat import Chat
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, ModelVersion
from sonneteer.store import Store

Opener = Callable[[str], serving.ServedModel]


def backend(loaded: LoadedRecipe, store: Store) -> LocalBackend:
    """The place where the recipe's models are trained and opened."""
    return LocalBackend(loaded.recipe, loaded.folder, store, loaded.reward)


def backend_of(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> LocalBackend:
    """The place of a version, with the base that it began from: the recipe's, or a champion that was improved."""
    if model.base == loaded.recipe.base.model:
        return backend(loaded, store)
    base = loaded.recipe.base.model_copy(update={"model": model.base, "from_scratch": None})
    return backend(loaded._replace(recipe=loaded.recipe.model_copy(update={"base": base})), store)


def open_version(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> Chat:
    """A version to talk to."""
    return backend(loaded, store).open(model)


def write_merged(loaded: LoadedRecipe, store: Store, model: ModelVersion, target: Path) -> None:
    """Write a version as plain files, which a further training can start from."""
    backend(loaded, store).write_merged(model, target)


def opener(loaded: LoadedRecipe, store: Store) -> Opener:
    """Opens versions by their ids to be served beside one another, by the engine that the recipe names."""
    versions = versions_of(loaded.recipe.serving, store, loaded.folder, partial(_proven_gguf, loaded, store))

    def opened(id: str) -> serving.ServedModel:
        model = store.get(ModelVersion, id)
        chat = versions.open(model)
        return serving.ServedModel(model.name, chat, model.created_at, chat.context, id)

    return opened


def _proven_gguf(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> Path:
    """The version's weights for llama.cpp, written if they are not there yet."""
    dataset = store.get(DatasetVersion, model.dataset_id)
    numbers = loaded.recipe.serving.llamacpp.numbers
    return exporting.proven_gguf(lambda: backend(loaded, store).original(model, dataset), store, model, numbers)
