"""Runs side by side: what was different, on which data, what it cost, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sonneteer.evaluation.brief import costs_of
from sonneteer.pages import duration, words
from sonneteer.records import Comparison, DatasetVersion, Report, Run
from sonneteer.store.prices import Prices

OUTCOMES = {"better": "met", "not better": "broken", "cannot tell": "cannot tell"}


class Entrant(NamedTuple):
    """One run, the data that it learned from, and what the newest report says of it."""

    name: str
    """The id that it was called by."""
    run: Run
    dataset: DatasetVersion | None
    """None where the catalogue has it no more."""
    report: Report | None


class Cell(NamedTuple):
    """What one entrant has in a row, and in smaller letters what belongs to it."""

    text: str
    small: str = ""


class Row(NamedTuple):
    """One line of the table: a cell for each entrant."""

    name: str
    cells: tuple[Cell, ...] = ()

    @property
    def is_heading(self) -> bool:
        """Whether it stands above the rows that follow."""
        return not self.cells


def abreast(entrants: Sequence[Entrant], prices: Prices | None = None) -> list[Row]:
    """Only settings in which the entrants differ; all figures."""
    return [
        _row("verdict", entrants, _verdict),
        *_under("promotion rules", _rules(entrants)),
        *_under("settings that differ", _different(entrants)),
        *_under("data", _data(entrants)),
        *_under("training", _training(entrants)),
        *_under("costs", _costs(entrants, prices)),
        *_under("on the sealed test examples", _figures(entrants)),
    ]


def is_comparable(entrants: Sequence[Entrant]) -> bool:
    """Whether all that were evaluated answered the same sealed examples."""
    sealed = {one.dataset.splits["test"].fingerprint if one.dataset else one.name for one in entrants if one.report}
    return len(sealed) < 2


def _under(heading: str, rows: Iterator[Row]) -> list[Row]:
    found = list(rows)
    return [Row(heading), *found] if found else []


def _row(name: str, entrants: Sequence[Entrant], said: Callable[[Entrant], Cell | str | None]) -> Row:
    told = [said(one) for one in entrants]
    return Row(name, tuple(one if isinstance(one, Cell) else Cell(one or "-") for one in told))


def _verdict(one: Entrant) -> Cell:
    if one.report is None:
        return Cell("not evaluated")
    return Cell(one.report.verdict, f"at {one.report.confidence:.2%} confidence, opening {one.report.test_openings}")


def _rules(entrants: Sequence[Entrant]) -> Iterator[Row]:
    met = [{rule.rule: OUTCOMES[rule.verdict] for rule in one.report.rules} if one.report else {} for one in entrants]
    for rule in dict.fromkeys(rule for one in met for rule in one):
        yield Row(words(rule), tuple(Cell(one.get(rule, "-")) for one in met))


def _different(entrants: Sequence[Entrant]) -> Iterator[Row]:
    settings = [_flat(one.run.recipe) | {"base": one.run.base} for one in entrants]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [Row(name, tuple(Cell(_said(one.get(name))) for one in settings)) for name in names]
    different = [row for row in rows if len(set(row.cells)) > 1]
    yield from different or [Row("none", (Cell(""),) * len(entrants))]


def _data(entrants: Sequence[Entrant]) -> Iterator[Row]:
    yield _row("data set", entrants, lambda one: one.run.dataset_id)
    for side in ("train", "validation", "test"):
        yield _row(f"{side} examples", entrants, lambda one, side=side: _side(one.dataset, side))  # type: ignore[misc]


def _side(dataset: DatasetVersion | None, side: str) -> Cell | None:
    found = {str(name): split for name, split in dataset.splits.items()}.get(side) if dataset else None
    return None if found is None else Cell(f"{found.examples:,}", found.fingerprint)


def _training(entrants: Sequence[Entrant]) -> Iterator[Row]:
    yield _row("status", entrants, lambda one: one.run.status)
    yield _row("validation loss", entrants, lambda one: _number(one.run.best_validation_loss))
    yield _row("loss before training", entrants, lambda one: _number(one.run.first_validation_loss))
    yield _row("generalisation gap", entrants, lambda one: _gap(one.run))
    yield _row("steps, best", entrants, lambda one: f"{one.run.steps}, {one.run.best_step or '-'}")


def _gap(run: Run) -> Cell | None:
    if run.generalisation_gap is None:
        return None
    between = run.gap_interval
    return Cell(f"{run.generalisation_gap:.4g}", f"[{between.low:.4g}, {between.high:.4g}]" if between else "")


def _costs(entrants: Sequence[Entrant], prices: Prices | None) -> Iterator[Row]:
    yield _row("time to train", entrants, lambda one: duration(one.run.seconds))
    yield _row("peak memory", entrants, lambda one: f"{one.run.peak_memory_gb:.2f} GB")
    answering = [one.report and prices and costs_of(one.report, prices) for one in entrants]
    yield Row("time of an answer", tuple(Cell(f"{cost.seconds:.3g} s" if cost else "-") for cost in answering))
    if prices is None or prices.serving_price is None:
        return
    hourly, currency = prices.serving_price, prices.currency
    yield _row("training, at your price", entrants, lambda one: f"{hourly * one.run.seconds / 3600:.3g} {currency}")
    thousand = [cost.per_thousand if cost else None for cost in answering]
    yield Row("1,000 answers", tuple(Cell("-" if one is None else f"{one:.3g} {currency}") for one in thousand))


def _figures(entrants: Sequence[Entrant]) -> Iterator[Row]:
    """The tuned model's figures; the gain over the base stands behind, with its interval."""
    found = [{c.metric: c for c in one.report.comparisons} if one.report else {} for one in entrants]
    for metric in dict.fromkeys(metric for one in found for metric in one):
        yield Row(words(metric), tuple(_gained(one.get(metric)) for one in found))


def _gained(told: Comparison | None) -> Cell:
    if told is None:
        return Cell("-")
    gain = told.gain
    return Cell(
        f"{told.tuned.value:.4g}", f"{gain.value:+.3g} [{gain.low:+.3g}, {gain.high:+.3g}], n = {told.examples}"
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _said(value: Any) -> str:
    return "-" if value is None else str(value)
