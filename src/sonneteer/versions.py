"""Model versions: how one is registered, which one is meant, and how each is opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sonneteer import deployments, serving
from sonneteer.backends import export as exporting
from sonneteer.backends.engines import versions_of
from sonneteer.backends.local import LocalBackend
from sonneteer.chat import Chat
from sonneteer.errors import MissingError
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, ModelVersion, Run
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


def register(loaded: LoadedRecipe, store: Store, run: Run, dataset: DatasetVersion) -> ModelVersion:
    """The next version of the recipe's name, made by a run."""
    numbers = [model.number for model in store.find(ModelVersion, name=run.name)]
    number = max(numbers, default=0) + 1
    model = ModelVersion(
        id=f"{run.name}-{number}",
        name=run.name,
        number=number,
        base=run.base,
        base_fingerprint=run.base_fingerprint,
        folder=str((store.folder(run.id) / "result").relative_to(store.root)),
        is_adapter=loaded.recipe.training.method == "lora",
        run_id=run.id,
        dataset_id=dataset.id,
        created_at=datetime.now(UTC),
    )
    store.save(model)
    return model


def newest(loaded: LoadedRecipe, store: Store) -> ModelVersion:
    """The last model that was trained under the recipe's name."""
    found = store.find(ModelVersion, name=loaded.recipe.name)
    if not found:
        raise MissingError(
            f"There is no model '{loaded.recipe.name}' in {store.root} yet. Train it first: sonneteer run {loaded.path}"
        )
    return found[0]


def in_force(loaded: LoadedRecipe, store: Store, id: str | None = None) -> ModelVersion:
    """The version of this id. Without one: what is deployed, else the champion, else the newest.

    Raises MissingError for an id that is no version of the recipe's name.
    """
    if id is None:
        newest(loaded, store)  # says what to do where there is none
        return store.get(ModelVersion, deployments.current(store, loaded.recipe.name).champion_id)
    known = {model.id: model for model in store.find(ModelVersion, name=loaded.recipe.name)}
    if id not in known:
        there = ", ".join(known) or "none yet"
        raise MissingError(f"There is no version '{id}' of {loaded.recipe.name} in {store.root}. It has: {there}.")
    return known[id]


def in_question(loaded: LoadedRecipe, store: Store, id: str | None = None) -> ModelVersion:
    """The version of this id. Without one: the newest that was neither refused nor replaced."""
    known = store.find(ModelVersion, name=loaded.recipe.name) if id is None else []
    return next((model for model in known if model.stage != "retired"), None) or in_force(loaded, store, id)


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
