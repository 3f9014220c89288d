"""Keep an eye on a run: metrics as JSON lines, speed, memory, and Ctrl-C that waits for a safe moment."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class MetricsFile:
    """One JSON object a line. Opened for a run that goes on, it forgets the steps that will be done again."""

    def __init__(self, path: Path, first_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_metrics(path) if line["step"] <= first_step] if path.exists() else []
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        partial.rename(path)
        self._path = path

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Append the figures of a step."""
        with self._path.open("a") as stream:
            stream.write(json.dumps({"step": step, **figures}) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file."""
    lines = []
    for line in path.read_text().split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:  # torn by a crash, or the empty end of the file
            continue
    return lines


class Stopwatch:
    """Seconds of work, over all attempts at a run."""

    def __init__(self, before: float = 0.0) -> None:
        self._before = before
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._start


class Interrupt:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.is_wanted = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Ctrl-C, or a polite kill, only asks; the work stops where nothing is lost. A second Ctrl-C stops at once."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # signals reach the main thread only
        return

    def ask(number: int, frame: Any) -> None:
        if interrupt.is_wanted:
            raise KeyboardInterrupt
        interrupt.is_wanted = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
