"""Model versions: how one is registered, and which one is meant."""

from __future__ import annotations

from datetime import UTC, datetime

from sonneteer import deployments
from sonneteer.errors import MissingError
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, ModelVersion, Run
from sonneteer.store import Store


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
