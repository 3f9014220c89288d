"""One writer at a time: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from sonneteer.errors import BusyError
from sonneteer.store.disk import refusals


@contextmanager
def one_writer(folder: Path, what: str, wait_seconds: float = 0) -> Iterator[None]:
    """Nobody else writes `what` meanwhile. Raises BusyError, which says who does and since when."""
    name = re.sub(r"[^\w.-]+", "-", what)
    lock, holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.holder"
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout as problem:
            raise BusyError(
                f"Another process is working on '{what}' in {folder.parent}: {_read(holder)}. "
                "Wait until it is done, or stop it, and give the same command again."
            ) from problem
    try:
        with refusals(holder):
            holder.write_text(f"process {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    try:
        return holder.read_text() or "it has not yet left its name"
    except OSError:
        return "it has not yet left its name"
