"""The choice among the best trials: each trained with several seeds, the cheapest of those that chance cannot tell."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import product
from typing import Any

from optuna import Study
from optuna.trial import TrialState

from sonneteer.search.found import Finalist
from sonneteer.search.space import Trained
from sonneteer.search.trials import Trainer, workers


def best_settings(study: Study, count: int) -> list[dict[str, Any]]:
    """Different settings of the best trials that came to their end, best first."""
    done = [trial for trial in study.get_trials(states=(TrialState.COMPLETE,)) if "work_tflop" in trial.user_attrs]
    found: list[dict[str, Any]] = []
    for trial in sorted(done, key=lambda trial: trial.value or 0.0):
        if trial.params not in found:
            found.append(trial.params)
    return found[:count]


def train_again(
    proposals: Sequence[dict[str, Any]],
    seeds: Sequence[int],
    train: Trainer,
    told: Callable[[int, int], None],
    processes: int = 1,
) -> list[Finalist]:
    """Train each proposal with each seed, so many at once."""
    with workers(processes) as pool:
        futures: list[Future[Trained]] = []
        for settings, seed in product(proposals, seeds):
            told(sum(future.done() for future in futures), len(proposals) * len(seeds))
            futures.append(pool.submit(train, settings, seed, unwatched))
        runs = [future.result() for future in futures]
    own = [runs[first : first + len(seeds)] for first in range(0, len(runs), len(seeds))]
    return [_finalist(settings, trained) for settings, trained in zip(proposals, own, strict=True)]


def unwatched(loss: float) -> None:
    """A finalist is not stopped."""


def _finalist(settings: dict[str, Any], runs: Sequence[Trained]) -> Finalist:
    return Finalist(
        settings=settings,
        losses=tuple(run.loss for run in runs),
        work_tflop=statistics.fmean(run.work_tflop for run in runs),
        trained_parameters=runs[0].trained_parameters,
    )


def choose(finalists: Sequence[Finalist]) -> Finalist:
    """The one-standard-error rule: of all whose mean is within one standard error of the best, the least work."""
    best = min(finalists, key=lambda one: one.mean)
    near = [one for one in finalists if one.mean <= best.mean + best.standard_error]
    return min(near, key=lambda one: (one.work_tflop, one.trained_parameters, one.mean))
