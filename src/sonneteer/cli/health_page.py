"""The health report in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sonneteer.records import Health, Interval

STYLES = {"healthy": "bold green", "retrain": "bold red", "cannot tell": "bold yellow"}


def health_page(health: Health) -> Iterator[RenderableType]:
    """Verdict, reasons, and the figures."""
    yield Text.assemble(
        (health.verdict.upper(), STYLES[health.verdict]), f"  {health.model_id}, {health.exchanges} exchanges"
    )
    for reason in health.reasons:
        yield Text(f"  {reason}")
    yield _table(health)
    yield Text(f"Evidence of a change: {health.evidence:.3g}; {health.enough:.3g} is enough.")
    if health.out_of_scope:
        yield Text(f"Out of scope: {_share(health.out_of_scope)} of the newest questions; 5 % is usual.")
    if health.liked_share:
        yield Text(f"Liked: {_share(health.liked_share)} of the answers that people judged.")


def _table(health: Health) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("figure", "training", "now", "shift", "evidence", "week before", "p this week"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for one in health.signals:
        figures = (one.now, one.shift, one.evidence, one.last_week, one.p_value)
        before = _figure(one.profile) if one.tolerated is None else f"at most {one.tolerated:.3g}"
        table.add_row(one.name, before, *map(_figure, figures), style="red" if one.has_moved else None)
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _share(interval: Interval) -> str:
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
