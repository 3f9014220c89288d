"""Runs side by side: what was different, what it cost, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sonneteer.records import Report, Run


class Entrant(NamedTuple):
    """One run, and what the newest report says of it."""

    name: str
    """The id that it was called by."""
    run: Run
    report: Report | None


class Row(NamedTuple):
    """One line of the table: a cell for each entrant."""

    name: str
    cells: tuple[str, ...]
    is_heading: bool = False


def abreast(entrants: Sequence[Entrant]) -> list[Row]:
    """Only settings in which the entrants differ; all figures. Figures of different data sets are marked."""
    rows = [_row("verdict", [one.report.verdict if one.report else "not evaluated" for one in entrants])]
    rows += [Row("what is different", (), True), *_different(entrants)]
    rows += [
        Row("training", (), True),
        _row("status", [one.run.status for one in entrants]),
        _row("validation loss", [_number(one.run.best_validation_loss) for one in entrants]),
        _row("loss before training", [_number(one.run.first_validation_loss) for one in entrants]),
        _row("generalisation gap", [_gap(one.run) for one in entrants]),
        _row("steps, best", [f"{one.run.steps}, {one.run.best_step}" for one in entrants]),
        _row("seconds", [f"{one.run.seconds:,.0f}" for one in entrants]),
        _row("peak memory, GB", [f"{one.run.peak_memory_gb:.2f}" for one in entrants]),
    ]
    return rows + _figures(entrants)


def _gap(run: Run) -> str:
    told, between = _number(run.generalisation_gap), run.gap_interval
    return f"{told} [{_number(between.low)}, {_number(between.high)}]" if between else told


def _different(entrants: Sequence[Entrant]) -> list[Row]:
    settings = [_flat(one.run.recipe) | {"data set": one.run.dataset_id, "base": one.run.base} for one in entrants]
    names = list(dict.fromkeys(name for one in settings for name in one))
    rows = [_row(name, [_said(one.get(name)) for one in settings]) for name in names]
    different = [row for row in rows if len(set(row.cells)) > 1]
    return different or [Row("nothing: settings, data and base are the same", ("",) * len(entrants))]


def _figures(entrants: Sequence[Entrant]) -> list[Row]:
    """The tuned model's figures; the gain over the base stands behind, with its interval."""
    found = [{c.metric: c for c in one.report.comparisons} if one.report else {} for one in entrants]
    metrics = list(dict.fromkeys(metric for one in found for metric in one))
    if not metrics:
        return []
    rows = [Row("on the sealed test examples", (), True)]
    for metric in metrics:
        told = [one.get(metric) for one in found]
        cells = [
            "-"
            if c is None
            else f"{c.tuned.value:.4g} ({c.gain.value:+.3g} [{c.gain.low:+.3g}, {c.gain.high:+.3g}], {c.examples})"
            for c in told
        ]
        rows.append(_row(metric.replace("_", " "), cells))
    return rows


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _row(name: str, cells: Sequence[str]) -> Row:
    return Row(name, tuple(cells))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _said(value: Any) -> str:
    return "-" if value is None else str(value)
