"""Trials: who proposes settings, who stops hopeless ones, and how several run at once and go on after a crash."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from sonneteer.errors import MachineError, RecipeError
from sonneteer.models.hardware import share_cores
from sonneteer.recipe.sections import SearchSettings
from sonneteer.search.space import Settings, Trained
from sonneteer.store import Store
from sonneteer.store.trials import TrialJournals
from sonneteer.workers import end_with_parent

optuna.logging.set_verbosity(optuna.logging.ERROR)
MANY, FEW = 50, 30
"""From so many trials on, halving stops the hopeless; up to so many, Gaussian processes propose."""
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)


class Stopped(Exception):
    """A trial is hopeless and has been stopped."""


class Trainer(Protocol):
    """Trains with other settings and another seed. `watch` hears each validation loss and may raise Stopped."""

    def __call__(self, settings: Settings, seed: int, watch: Callable[[float], None]) -> Trained:
        """What came of it."""
        ...


class Place(NamedTuple):
    """Where a study is kept: in the catalogue of a workspace, to which several processes may write."""

    workspace: Path
    name: str

    def open(self, pruner: BasePruner, sampler: BaseSampler | None = None) -> optuna.Study:
        """The study, begun if it is not there."""
        storage = JournalStorage(_Journal(Store(self.workspace).trials, self.name))
        return optuna.create_study(
            storage=storage, study_name=self.name, sampler=sampler, pruner=pruner, load_if_exists=True
        )


class _Journal(BaseJournalBackend):  # type: ignore[misc]
    """A study's journal as Optuna reads and writes it."""

    def __init__(self, journals: TrialJournals, study: str) -> None:
        self._journals = journals
        self._study = study

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._journals.read(self._study, log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._journals.append(self._study, logs)


class Ended(NamedTuple):
    """How a trial ended: trained to its end, stopped early, or exploded."""

    trained: Trained | None
    loss: float | None
    """The loss that counts; None for a trial that was stopped."""


def sampler_for(settings: SearchSettings, seed: int) -> BaseSampler:
    """Who proposes settings. Parzen estimators see the settings together, not one by one."""
    kind = settings.sampler
    if kind == "auto":
        kind = "gp" if settings.trials <= FEW else "tpe"
    if kind == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if kind == "gp":
            return GPSampler(seed=seed)
        return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def pruner_for(settings: SearchSettings) -> BasePruner:
    """Who stops hopeless trials: worse than the median, or of many the worse ones again and again (ASHA)."""
    if settings.trials >= MANY:
        return SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    return MedianPruner(n_startup_trials=4, n_warmup_steps=2)


class Hunt(NamedTuple):
    """A search under way: what it may change, where it is kept, and who trains."""

    settings: SearchSettings
    space: dict[str, BaseDistribution]
    place: Place
    train: Trainer
    seed: int

    def go(self, first: Settings, told: Callable[[int, int, float | None], None]) -> optuna.Study:
        """Try settings, `first` before all, until there are enough trials. `told` hears the count and the best loss."""
        pruner = pruner_for(self.settings)
        study = self.place.open(pruner, sampler_for(self.settings, self.seed))
        _revive(study)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(dict(first))
        under_way: dict[Future[Ended], optuna.Trial] = {}
        with workers(self.settings.processes) as pool:
            while (done := _count(study)) < self.settings.trials:
                told(done, self.settings.trials, _best(study))
                while len(under_way) < min(self.settings.processes, self.settings.trials - done):
                    trial = study.ask(self.space)
                    under_way[pool.submit(try_once, self, trial._trial_id, dict(trial.params))] = trial
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    _tell(study, under_way.pop(future), future.result())
        told(done, self.settings.trials, _best(study))
        return study


def try_once(hunt: Hunt, trial_id: int, settings: dict[str, Any]) -> Ended:
    """Train with one proposal, in whatever process this is."""
    study = hunt.place.open(pruner_for(hunt.settings))
    trial = optuna.Trial(study, trial_id)
    heard: list[float] = []

    def watch(loss: float) -> None:
        trial.report(loss, len(heard))
        heard.append(loss)
        if trial.should_prune():
            raise Stopped

    try:
        trained = hunt.train(settings, hunt.seed, watch)
        return Ended(trained, trained.loss)
    except Stopped:
        return Ended(None, None)
    except MachineError:
        if trial.number == 0:
            raise
        return Ended(None, None)  # these settings do not fit here; the recipe's own do
    except RecipeError:
        if not heard:
            raise
        return Ended(None, heard[0])  # it exploded: nothing was gained over the untrained model


def _tell(study: optuna.Study, trial: optuna.Trial, ended: Ended) -> None:
    if ended.trained is not None:
        for name, value in ended.trained.model_dump().items():
            trial.set_user_attr(name, value)
    if ended.loss is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, ended.loss)


def _revive(study: optuna.Study) -> None:
    """Trials that a crash interrupted are proposed again; their trainings go on from their checkpoints."""
    for lost in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(lost.number, state=TrialState.FAIL)
        study.enqueue_trial(lost.params)


def _count(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=COUNTED))


def _best(study: optuna.Study) -> float | None:
    losses = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    return min((loss for loss in losses if loss is not None), default=None)


class _Here(Executor):
    """Does it at once, in this process."""

    def submit(self, task: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*given, **named))
        return future


@contextmanager
def workers(processes: int) -> Iterator[Executor]:
    """Where trials train: here, or so many at once in processes that share the cores."""
    if processes == 1:
        yield _Here()
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit the threads of PyTorch
    with ProcessPoolExecutor(processes, spawn, _begin, (processes,)) as pool:
        yield pool


def _begin(processes: int) -> None:
    end_with_parent()
    share_cores(processes)
