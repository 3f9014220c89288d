"""A trial is a run like any other: named by its settings, kept in the catalogue, going on from its checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sonneteer.backends.local import LocalBackend
from sonneteer.backends.runs import new_run, status_kept
from sonneteer.data import prepare, read_split
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, Recipe
from sonneteer.records import DatasetVersion, Run
from sonneteer.search.space import Settings, Trained, changes_base, changes_data, with_settings
from sonneteer.search.trials import Stopped
from sonneteer.store import Store
from sonneteer.training.lessons import lessons_of

REFERENCES = ("reference-train.safetensors", "reference-validation.safetensors")
FOR_EVER = -1.0
LEFT_BEHIND = ("checkpoints", "result", "best.safetensors", "averaged", "initial", *REFERENCES)


class Watcher(Silent):
    """Hands validation losses on."""

    def __init__(self, watch: Callable[[float], None]) -> None:
        self._watch = watch

    def validated(self, loss: float) -> None:
        """A trial may be stopped here."""
        self._watch(loss)


class TrialTrainer(NamedTuple):
    """Trains the recipe with other settings on one data set. Travels to other processes, hence no open store."""

    loaded: LoadedRecipe
    workspace: Path
    dataset_id: str

    def __call__(self, settings: Settings, seed: int, watch: Callable[[float], None]) -> Trained:
        """Train, unless the catalogue knows this very run. What it leaves on the disk is removed when it has ended."""
        store = Store(self.workspace)
        own = store.get(DatasetVersion, self.dataset_id)
        recipe = with_settings(self.loaded.recipe, settings)
        backend = LocalBackend(recipe, self.loaded.folder, store, self.loaded.reward)
        dataset = self._prepared(store, own, recipe, backend) if changes_data(settings) else own
        scale = self._scale(store, own, backend) if changes_base(settings) else 1.0
        recipe = recipe.model_copy(update={"seed": seed})
        backend = LocalBackend(recipe, self.loaded.folder, store, self.loaded.reward)
        run = new_run(self.loaded._replace(recipe=recipe), dataset, backend)
        done = self._train(store, dataset, run, backend, lambda loss: watch(loss * scale))
        assert done.best_validation_loss is not None, "a data set with validation examples gives a validation loss"
        loss = done.best_validation_loss * scale
        return Trained(loss=loss, work_tflop=done.work_tflop, trained_parameters=done.trained_parameters)

    def _prepared(self, store: Store, own: DatasetVersion, recipe: Recipe, backend: LocalBackend) -> DatasetVersion:
        """The data by the trial's rules, watched by the very examples that watch all trials."""
        with store.writing(f"data-{recipe.name}", wait_seconds=FOR_EVER):
            return prepare(recipe, self.loaded.folder, store, backend, watching=own)

    def _scale(self, store: Store, own: DatasetVersion, backend: LocalBackend) -> float:
        """Losses are nats a token; another base model counts other tokens in the same answers."""
        renderer = backend.renderer(read_split(store, own, "train"))
        watched = lessons_of(read_split(store, own, "validation"), renderer, self.loaded.recipe.training.objective)
        return sum(lesson.learned_tokens for lesson in watched) / own.learned_token_counts["validation"]

    def _train(
        self, store: Store, dataset: DatasetVersion, run: Run, backend: LocalBackend, watch: Callable[[float], None]
    ) -> Run:
        """Another process may train the very same: then it is waited for."""
        with store.writing(f"run-{run.id}", wait_seconds=FOR_EVER):
            known = [one for one in store.find(Run, id=run.id) if one.status == "done"]
            if known:
                return known[0]
            try:
                with status_kept(store, run):
                    done = backend.fit(dataset, run, Watcher(watch))
            except Stopped:
                store.save(run.model_copy(update={"status": "interrupted", "problem": "stopped by the search"}))
                self._clear(store, run)
                raise
            except RecipeError:
                self._clear(store, run)
                raise
            store.save(done)
            self._clear(store, run)
        return done

    def _clear(self, store: Store, run: Run) -> None:
        """Keep the metrics alone: the trials of a search would fill the disk."""
        for name in LEFT_BEHIND:
            place = store.folder(run.id) / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
