"""What a person sees while something works: headings, notes, and a bar with figures and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.rule import Rule
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0  # where the output is a file
FIGURES = {
    "loss": "loss {:.3f}",
    "validation_loss": "validation {:.3f}",
    "tokens_per_second": "{:,.0f} tokens/s",
    "spent": "{}",
}
"""The figures beside a bar, in this order, and how they are shown."""
MORE_FIGURES = FIGURES | {
    "unique_tokens_per_second": "{:,.0f} of them unique",
    "learned_tokens": "{:,.0f} learned so far",
    "learning_rate": "step size {:.1e}",
    "gradient_norm": "gradient {:.2g}",
    "memory_gb": "{:.1f} GB",
}
"""The figures in a line of a file, which has room for all."""


class Screen:
    """A Progress for people: a live bar on a terminal, at most one line every ten seconds elsewhere."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self._clock = clock
        self._stage = self._noted = ""
        self._bar: Progress | None = None
        self._began = self._said = clock()

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def stage(self, name: str) -> None:
        """A new stage begins. The same name again goes on with the present one."""
        if name == self._stage:
            return
        self.rest()
        self._stage = name
        self._began = self._said = self._clock()
        self.console.print(Rule(Text(name.capitalize(), style="bold"), align="left", style="cyan"))

    def note(self, text: str) -> None:
        """A line worth reading, above the bar. What was just said is not said again."""
        if text == self._noted:
            return
        self._noted = text
        self.console.print(Text(text, style="dim"), soft_wrap=True)

    def update(self, done: float, total: float, figures: Mapping[str, float | str] = {}) -> None:
        """The present stage has come this far."""
        if self.console.is_terminal:
            self._move_bar(done, total, in_words(figures, FIGURES))
        elif self._clock() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = self._clock()
            self._print_line(done, total, in_words(figures, MORE_FIGURES))

    def validated(self, loss: float) -> None:
        """Shown with the next step's figures."""

    def rest(self) -> None:
        """Take the bar off the screen's last line, so that something else can be printed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _move_bar(self, done: float, total: float, figures: str) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("  {task.completed:g}/{task.total:g}"),
                BarColumn(bar_width=16),
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}", style="dim"),
                TimeRemainingColumn(compact=True),
                console=self.console,
            )
            self._bar.add_task(self._stage, total=total, figures=figures)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, figures=figures)

    def _print_line(self, done: float, total: float, figures: str) -> None:
        passed = self._said - self._began
        left = f", {duration(passed / done * (total - done))} left" if 0 < done < total else ""
        share = f" ({done / total:.0%})" if total else ""
        self.console.print(
            Text(f"{self._stage}: {done:g} of {total:g}{share}{left}  {figures}".rstrip()), soft_wrap=True
        )


def in_words(figures: Mapping[str, float | str], forms: Mapping[str, str] = FIGURES) -> str:
    """The figures that people look at."""
    parts = []
    for name, form in forms.items():
        value = figures.get(name)
        if value is not None:
            parts.append(value if isinstance(value, str) else form.format(value))
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
