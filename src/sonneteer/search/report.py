"""What a search found, as JSON for machines and one HTML page for people, with its pictures drawn in place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from sonneteer.pages import templates_of
from sonneteer.search.found import Attempt, SearchReport
from sonneteer.store.disk import write_whole

WIDTH, HEIGHT, MARGIN = 720, 300, 60
LEAST_FOR_IMPORTANCE = 8


def attempts_of(study: optuna.Study) -> tuple[Attempt, ...]:
    """Trials that ended, in their order."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return tuple(
        Attempt(number=number, settings=trial.params, loss=trial.value if trial.state == TrialState.COMPLETE else None)
        for number, trial in enumerate(ended, 1)
    )


def importance_of(study: optuna.Study) -> dict[str, float]:
    """Importance by PED-ANOVA (arXiv 2304.10255), which looks at what the better trials have in common."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < LEAST_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: share for name, share in found.items() if math.isfinite(share)}


def write_report(report: SearchReport, folder: Path) -> Path:
    """Write `report.json` and `report.html`; returns the page."""
    write_whole(folder / "report.json", report.model_dump_json(indent=1).encode())
    page = templates_of("sonneteer.search").get_template("report.html.jinja")
    text = page.render(report=report, parallel=parallel_coordinates(report), progress=best_so_far(report))
    write_whole(folder / "report.html", text.encode())
    return folder / "report.html"


def parallel_coordinates(report: SearchReport) -> str:
    """An SVG: an axis for each setting and one for the loss, a line for each trial, the better the darker."""
    done = [attempt for attempt in report.attempts if attempt.loss is not None]
    names = list(report.own)
    if len(done) < 2:
        return ""
    columns = [[attempt.settings[name] for attempt in done] for name in names] + [[attempt.loss for attempt in done]]
    places = [_places(column) for column in columns]
    step = (WIDTH - 2 * MARGIN) / max(1, len(columns) - 1)
    parts = []
    for i in sorted(range(len(done)), key=lambda i: -places[-1][i]):
        points = " ".join(f"{MARGIN + axis * step:.0f},{_height(places[axis][i]):.1f}" for axis in range(len(columns)))
        parts.append(f'<polyline points="{points}" opacity="{1 - 0.85 * places[-1][i]:.2f}"/>')
    for axis, (name, column) in enumerate(zip([*names, "loss"], columns, strict=True)):
        parts.append(_axis(MARGIN + axis * step, name.removeprefix("training."), column))
    return _svg("Settings and loss of every trial", parts)


def best_so_far(report: SearchReport) -> str:
    """An SVG: the best loss after each trial, of the search and of its control."""
    curves = [(name, _running_best(part)) for name, part in (("search", report.attempts), ("chance", report.control))]
    curves = [(name, curve) for name, curve in curves if len(curve) > 1]
    if not curves:
        return ""
    losses = [loss for _, curve in curves for _, loss in curve]
    low, high = min(losses), max(losses)
    last = max(number for _, curve in curves for number, _ in curve)
    parts = []
    for name, curve in curves:
        points = " ".join(
            f"{MARGIN + (WIDTH - 2 * MARGIN) * (number - 1) / max(1, last - 1):.0f},"
            f"{_height((loss - low) / (high - low or 1)):.1f}"
            for number, loss in curve
        )
        parts.append(f'<polyline class="{name}" points="{points}"/>')
    parts.append(_axis(MARGIN, "loss", losses))
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end">{last} trials</text>')
    return _svg("Best loss so far", parts)


def _running_best(attempts: Sequence[Attempt]) -> list[tuple[int, float]]:
    best, curve = math.inf, []
    for attempt in attempts:
        best = min(best, math.inf if attempt.loss is None else attempt.loss)
        if best < math.inf:
            curve.append((attempt.number, best))
    return curve


def _places(column: Sequence[Any]) -> list[float]:
    """Where each value lies on its axis, 0 to 1; words and few numbers in their order, wide ranges by logarithm."""
    if _holds_words(column):
        order = sorted({str(value) for value in column})
        return [order.index(str(value)) / max(1, len(order) - 1) for value in column]
    is_wide = min(column) > 0 and max(column) / min(column) >= 10
    numbers = [math.log(value) if is_wide else float(value) for value in column]
    low, high = min(numbers), max(numbers)
    return [(value - low) / (high - low or 1) for value in numbers]


def _holds_words(column: Sequence[Any]) -> bool:
    return any(isinstance(value, str | bool | None) for value in column)


def _height(place: float) -> float:
    return HEIGHT - 40 - place * (HEIGHT - 80)


def _axis(x: float, name: str, column: Sequence[Any]) -> str:
    low, high = (min(map(str, column)), max(map(str, column))) if _holds_words(column) else (min(column), max(column))
    shown = [escape(value if isinstance(value, str) else f"{value:.4g}") for value in (high, low)]
    return (
        f'<line x1="{x:.0f}" x2="{x:.0f}" y1="40" y2="{HEIGHT - 40}"/>'
        f'<text x="{x:.0f}" y="16" text-anchor="middle" class="name">{escape(name)}</text>'
        f'<text x="{x:.0f}" y="32" text-anchor="middle">{shown[0]}</text>'
        f'<text x="{x:.0f}" y="{HEIGHT - 24}" text-anchor="middle">{shown[1]}</text>'
    )


def _svg(title: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{title}</title>{"".join(parts)}</svg>'
