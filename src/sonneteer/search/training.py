"""A trial is a run like any other: named by its settings, kept in the catalogue, going on from its checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sonneteer.backends.local import LocalBackend
from sonneteer.backends.runs import new_run, status_kept
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, Run
from sonneteer.search.space import Settings, Trained, with_settings
from sonneteer.search.trials import Stopped
from sonneteer.store import Store

REFERENCES = ("reference-train.safetensors", "reference-validation.safetensors")
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
        dataset = store.get(DatasetVersion, self.dataset_id)
        recipe = with_settings(self.loaded.recipe, settings).model_copy(update={"seed": seed})
        backend = LocalBackend(recipe, self.loaded.folder, store, self.loaded.reward)
        run = new_run(self.loaded._replace(recipe=recipe), dataset, backend)
        known = [one for one in store.find(Run, id=run.id) if one.status == "done"]
        if not known:
            known = [self._train(store, dataset, run, backend, watch)]
        loss = known[0].best_validation_loss
        assert loss is not None, "a data set with validation examples gives a validation loss"
        return Trained(loss=loss, work_tflop=known[0].work_tflop, trained_parameters=known[0].trained_parameters)

    def _train(
        self, store: Store, dataset: DatasetVersion, run: Run, backend: LocalBackend, watch: Callable[[float], None]
    ) -> Run:
        with store.writing(f"run-{run.id}"):
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
