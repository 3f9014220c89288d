"""A run's record: named by all that decides its result, and kept true while the run is under way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sonneteer.backends import Backend
from sonneteer.errors import SonneteerError
from sonneteer.profile import machine
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import WITHOUT_EFFECT
from sonneteer.records import DatasetVersion, Run, fingerprint_of
from sonneteer.store import Store


def new_run(loaded: LoadedRecipe, dataset: DatasetVersion, backend: Backend) -> Run:
    """The run is named by all that decides its result, so the same command finds its unfinished work again."""
    recipe = loaded.recipe
    settings = recipe.model_dump(
        mode="json", include={"seed", "base", "training"}, exclude={"training": WITHOUT_EFFECT}
    )
    settings["data"] = {"max_tokens": recipe.data.max_tokens}
    if recipe.base.vocabulary.terms is not None:
        settings["terms"] = fingerprint_of(_text_of(loaded.folder / recipe.base.vocabulary.terms))
    if recipe.evaluation.memorisation.canaries:
        settings["canaries"] = recipe.evaluation.memorisation.model_dump(mode="json", include={"canaries", "repeats"})
    if loaded.reward is not None:
        settings["reward"] = _named(loaded.reward)
    return Run(
        id=f"{recipe.name}-{fingerprint_of([settings, dataset.id, backend.fingerprint])}",
        name=recipe.name,
        status="running",
        recipe=settings,
        dataset_id=dataset.id,
        base=recipe.base.model,
        base_fingerprint=backend.fingerprint,
        machine=machine(),
        started_at=datetime.now(UTC),
    )


def _text_of(path: Path) -> str | None:
    """What a file says; None where it cannot be read, which whoever needs it will say."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _named(function: Callable[..., float]) -> str:
    """A name for a user's function that changes with its words, as far as they can be read."""
    try:
        return fingerprint_of(inspect.getsource(function))
    except (OSError, TypeError):  # built in, or typed into a console
        return getattr(function, "__qualname__", type(function).__qualname__)


@contextmanager
def status_kept(store: Store, run: Run) -> Iterator[None]:
    """The catalogue knows that the run is under way, and why it ended if it did not reach its end."""
    store.save(run)
    try:
        yield
    except KeyboardInterrupt:
        store.save(run.model_copy(update={"status": "interrupted"}))
        raise
    except SonneteerError as problem:
        store.save(run.model_copy(update={"status": "failed", "problem": str(problem)}))
        raise
