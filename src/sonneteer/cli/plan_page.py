"""What `sonneteer plan` shows: tokens, memory, time, cost, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sonneteer.cli.screen import duration

if TYPE_CHECKING:
    from sonneteer.records import Interval
    from sonneteer.training.plan import Plan


WORTH_SAYING = 1.1
"""Times less computing from which another setting is mentioned."""


def plan_page(plan: Plan, prices: Path) -> list[RenderableType]:
    """The plan as a table, then warnings, and what must be changed."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, figure, words in _lines(plan, prices):
        table.add_row(name, figure, Text(words, style="dim"))
    past = f"corrected by {plan.runs} past runs here" if plan.runs else "no run on this machine yet: a rough guess"
    page: list[RenderableType] = [table, Text(f"Memory and time: low, expected, high; {past}.", style="dim")]
    page += [Text(warning, style="yellow") for warning in plan.warnings]
    return page + [Text(problem, style="red") for problem in plan.problems]


def _lines(plan: Plan, prices: Path) -> Iterator[tuple[str, str, str]]:
    tokens = plan.tokens
    share = tokens.learned / max(tokens.naive, 1)
    yield "tokens an epoch", f"{tokens.naive:,}", "as a plain trainer computes them, padding aside"
    yield (
        "  of them unique",
        f"{tokens.unique:,}",
        f"what is computed: shared beginnings once, {tokens.sharing:.2f} x less",
    )
    yield "  of them learned", f"{tokens.learned:,}", f"{share:.0%} of the tokens"
    if tokens.replayed:
        yield "  replayed", f"{tokens.replayed:,}", "general examples an epoch, against forgetting"
    if tokens.grouped_sharing and tokens.grouped_sharing > WORTH_SAYING * tokens.sharing:
        yield "  grouped", f"{tokens.grouped_sharing:.2f} x", "less, with training.prefix_group at half of batch_size"
    yield "steps", f"{tokens.steps:,}", f"{tokens.epoch_steps:,} an epoch, at most {tokens.largest:,} tokens at once"
    yield "parameters", f"{plan.parameters:,}", f"{plan.trained_parameters:,} are trained"
    again = "; blocks are computed once more to save it" if plan.recomputes else ""
    yield "memory", _range(plan.memory_gb, "{:.1f}") + " GB", f"there are {plan.available_gb:.1f} GB{again}"
    yield "disk", f"{plan.disk_gb:.2f} GB", f"{plan.free_disk_gb:.1f} GB are free"
    low, usual, high = (duration(value) for value in (plan.seconds.low, plan.seconds.value, plan.seconds.high))
    yield "time", f"{low}, {usual}, {high}", "unless it stops early"
    for one in plan.detectable:
        unit = " standard deviations" if one.is_in_deviations else ""
        words = f"a true gain that {one.clusters:,} independent test examples show 4 times of 5; {one.basis}"
        yield f"smallest gain, {one.metric.replace('_', ' ')}", f"{one.gain:.3g}{unit}", words
    for machine, cost in plan.costs.items():
        known = f"no price yet: put one into {prices}" if cost is None else f"by the prices in {prices}"
        yield f"cost, {machine}", "-" if cost is None else f"{cost:,.2f} {plan.currency}", known


def _range(interval: Interval, form: str) -> str:
    return ", ".join(form.format(value) for value in (interval.low, interval.value, interval.high))
