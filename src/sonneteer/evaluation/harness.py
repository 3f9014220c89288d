"""Tasks of EleutherAI's lm-evaluation-harness before and after a training, row by row: what was forgotten elsewhere.

The harness reads its tasks, asks and scores; each row's scores of both models are then paired and compared as all
figures are. That suits every metric that is a mean over rows, perhaps weighted or transformed; others are left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonneteer.chat import Chat, PlainText
from sonneteer.errors import DataError, ExtraError
from sonneteer.evaluation.compare import compare
from sonneteer.evaluation.intervals import SHARE, Bootstrap, Values
from sonneteer.evaluation.scorers import NOTHING, Scorer, Scores
from sonneteer.evaluation.significance import is_right_or_wrong
from sonneteer.external.hub import online
from sonneteer.recipe.sections import SuiteSettings
from sonneteer.records import Comparison

FEW_SHOT_SEED = 1234  # the harness's own
Samples = Sequence[Mapping[str, Any]]


class Tasks(NamedTuple):
    """What one name stands for: a task, or all tasks of a group."""

    name: str
    leaves: dict[str, Any]

    def metrics(self) -> dict[str, tuple[Any, bool]]:
        """How each metric is made of its rows, and whether more of it is better."""
        told: dict[str, tuple[Any, bool]] = {}
        for task in self.leaves.values():
            better = task.higher_is_better()
            told |= {metric: (way, better.get(metric, True)) for metric, way in task.aggregation().items()}
        return told


class Mean(NamedTuple):
    """A metric that is a weighted mean over rows: what a row gives, and what becomes of the mean."""

    of_row: Callable[[Any], tuple[float, float]]
    """Value and weight."""
    finish: Callable[[Values], Values] = lambda mean: mean


def harness_version(settings: SuiteSettings, folder: Path) -> list[tuple[str, ...]]:
    """What the tasks are: the harness's version, and the files of a folder of one's own. Raises ExtraError."""
    _library("lm_eval")
    rows: list[tuple[str, ...]] = [("lm_eval", importlib.metadata.version("lm_eval"))]
    own = folder_of(settings, folder)
    for path in sorted(own.rglob("*")) if own else ():
        if path.is_file() and "__pycache__" not in path.parts:
            rows.append((path.relative_to(own or path).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()))
    return rows


def folder_of(settings: SuiteSettings, folder: Path) -> Path | None:
    """The folder of the recipe's own tasks. Raises DataError where it is not there."""
    if settings.path == "bundled":
        return None
    own = (folder / settings.path).resolve()
    if not own.is_dir():
        raise DataError(f"evaluation.suites: there is no folder {own}. Name one with the YAML files of tasks.")
    return own


def measure_tasks(
    settings: SuiteSettings, folder: Path, models: tuple[Chat, Chat], bootstrap: Bootstrap
) -> dict[str, Comparison]:
    """By task and metric, base against tuned; nothing where a model does not read plain text.

    Raises DataError for a task that does not exist or cannot be read, and for a metric that it does not have.
    """
    base, tuned = models
    if not isinstance(base, PlainText) or not isinstance(tuned, PlainText):
        return {}
    figures: dict[str, Comparison] = {}
    for tasks in _read(settings, folder_of(settings, folder)):
        wanted = _wanted(tasks, settings.metrics)
        asked = [_asked(tasks, model, settings.max_rows) for model in (base, tuned)]
        for metric, way, is_better in wanted:
            for filtered in dict.fromkeys(row["filter"] for row in asked[0] if metric in row):
                told = [_scores(samples, metric, filtered, way) for samples in asked]
                name = f"{tasks.name}, {metric}" + ("" if filtered == "none" else f", {filtered}")
                figures[name] = _compared(name, way, is_better, told, bootstrap)
    return figures


def _wanted(tasks: Tasks, named: Sequence[str]) -> list[tuple[str, Mean, bool]]:
    """The metrics that can be compared, or those of them that the recipe names."""
    means = _means()
    told = {metric: (means[way], is_better) for metric, (way, is_better) in tasks.metrics().items() if way in means}
    if strange := [metric for metric in named if metric not in told]:
        others = [metric for metric in tasks.metrics() if metric not in told]
        beside = f" {', '.join(others)} is no mean over rows, so that it has no interval here." if others else ""
        raise DataError(
            f"evaluation.suites: the task {tasks.name} has no metric {', '.join(strange)}. It has: "
            f"{', '.join(told) or 'none that can be compared'}.{beside}"
        )
    return [(metric, *told[metric]) for metric in named or told]


def _compared(name: str, way: Mean, is_better: bool, told: Sequence[Scores], bootstrap: Bootstrap) -> Comparison:
    bounds = SHARE if is_right_or_wrong(*(scores.values for scores in told)) else None
    scorer = Scorer(lambda example, reply: NOTHING, is_better, name, finish=way.finish, bounds=bounds)
    rows = np.arange(len(told[0].values), dtype=np.int64)
    return compare(f"harness, {name}", scorer, told[0], told[1], rows, bootstrap)


def _scores(samples: Samples, metric: str, filtered: str, way: Mean) -> Scores:
    rows = [way.of_row(row[metric]) for row in samples if row["filter"] == filtered and metric in row]
    return Scores(np.array([value for value, _ in rows], dtype=float), np.array([weight for _, weight in rows]))


def _means() -> dict[Any, Mean]:
    """By the harness's own function that makes one figure of all rows."""
    ways = _library("lm_eval.api.metrics")

    def per_unit(row: Any) -> tuple[float, float]:
        log_prob, units = row
        return -log_prob / units, units

    return {
        ways.mean: Mean(lambda row: (float(row), 1.0)),
        ways.perplexity: Mean(lambda row: (-row, 1.0), np.exp),
        ways.weighted_perplexity: Mean(per_unit, np.exp),
        ways.bits_per_byte: Mean(per_unit, lambda mean: mean / np.log(2)),
    }


def _asked(tasks: Tasks, model: PlainText, limit: int) -> Samples:
    """Every row of the tasks with what the model scored on it."""
    adapter = importlib.import_module("sonneteer.evaluation.harness_model").HarnessModel(model)
    told = _library("lm_eval.evaluator").evaluate(adapter, {"tasks": tasks.leaves}, limit=limit, bootstrap_iters=0)
    return [row for name in tasks.leaves for row in told["samples"][name]]


def _read(settings: SuiteSettings, own: Path | None) -> Iterator[Tasks]:
    """The tasks that the recipe names, or all of its own folder."""
    manager_of = _library("lm_eval.tasks").TaskManager
    manager = manager_of(include_path=own, include_defaults=False)
    names = settings.tasks or tuple(manager.all_subtasks)
    has_others = any(name not in manager.all_tasks for name in names)
    if has_others:
        manager = manager_of(include_path=own)  # reads the harness's own thousands of files
    for name in names:
        if name not in manager.all_tasks:
            near = get_close_matches(name, manager.all_tasks, n=1)
            raise DataError(
                f"evaluation.suites: the harness has no task '{name}'"
                + (f". Did you mean '{near[0]}'?" if near else f", nor has {own or 'a folder of your own'}.")
            )
        yield Tasks(name, _loaded(manager, name, own, has_others))


def _loaded(manager: Any, name: str, own: Path | None, may_ask_hub: bool) -> dict[str, Any]:
    """A task's rows, from files beside it or, for a task of the harness itself, from the hub."""
    datasets = _library("datasets")
    datasets.disable_progress_bars()
    with contextlib.ExitStack() as around:
        if may_ask_hub:
            around.enter_context(online(datasets))
        if own:
            around.enter_context(contextlib.chdir(own))  # the harness takes a task's paths from where it is started
        try:
            leaves: dict[str, Any] = manager.load([name])["tasks"]
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as problem:
            raise DataError(
                f"evaluation.suites: the task '{name}' cannot be read: {type(problem).__name__}: {problem}"
            ) from problem
    for task in leaves.values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=FEW_SHOT_SEED)
    return leaves


def _library(module: str) -> Any:
    try:
        loaded = importlib.import_module(module)
    except ImportError as problem:
        raise ExtraError(
            f"evaluation.suites of kind 'harness' need lm-evaluation-harness, which does not load here ({problem}). "
            "Install it with pip install 'sonneteer[harness]'."
        ) from problem
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it tells what a task leaves to its defaults
    return loaded
