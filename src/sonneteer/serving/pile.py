"""What waits for the database, on disk: so that a killed server loses nothing that a client was answered."""

from __future__ import annotations

import errno
import os
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from pydantic import ValidationError

from sonneteer.records import Exchange
from sonneteer.store.disk import refusals

MOST_IN_MEMORY = 5000


class Page(NamedTuple):
    """Some of what waits, the oldest first."""

    path: Path | None
    """One exchange a line; None where all are in memory."""
    more: list[Exchange]
    """What the disk would not take."""
    size: int

    def exchanges(self) -> Iterator[Exchange]:
        """All of them. A line that a power cut has torn is left out."""
        if self.path is not None:
            with refusals(self.path), open(self.path, "rb") as lines:
                for line in lines:
                    with suppress(ValidationError):
                        yield Exchange.model_validate_json(line)
        yield from self.more

    def drop(self) -> None:
        """They are in the database."""
        if self.path is not None:
            with suppress(OSError):  # then they are written once more, which changes nothing
                self.path.unlink()


class Pile:
    """Takes exchanges one by one and gives them back by the page. Not for several threads at a time.

    The operating system keeps what was written when the process is killed, not in a power cut.
    """

    def __init__(self, folder: Path | None) -> None:
        """Without a folder everything is in memory. Pages that a killed process left there are taken over."""
        self._folder = folder
        self._token = secrets.token_hex(6)
        self._number = 0
        self._file: FileIO | None = None
        self._more: list[Exchange] = []
        self._count = 0
        self._left: deque[Page] = deque()
        self._lock: FileLock | None = None
        if folder is not None:
            with refusals(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._begin(folder)

    @property
    def left(self) -> int:
        """How many exchanges others have left behind."""
        return sum(page.size for page in self._left)

    def put(self, exchange: Exchange) -> bool:
        """One more. What the disk does not take stays in memory, up to a limit; False for one that is lost."""
        try:
            self._append(exchange.model_dump_json().encode() + b"\n")
        except OSError:
            if len(self._more) >= MOST_IN_MEMORY:
                return False
            self._more.append(exchange)
        self._count += 1
        return True

    def take(self) -> Page | None:
        """The next page, which is no longer added to; None if nothing waits."""
        if self._left:
            return self._left.popleft()
        page = Page(self._closed(), self._more, self._count)
        self._file, self._more, self._count = None, [], 0
        return page if page.size else None

    def close(self) -> None:
        """Pages that are still there are for whoever comes next."""
        self._closed()
        if self._lock is not None:
            self._lock.release()

    def _begin(self, folder: Path) -> None:
        """Show that this process lives, and take the pages of those that do not any more."""
        with FileLock(folder / "all.lock"):
            self._lock = FileLock(folder / f"{self._token}.lock", thread_local=False)
            self._lock.acquire()
            for path in sorted(folder.glob("*.lock")):
                if path.stem not in ("all", self._token):
                    self._inherit(folder, path)

    def _inherit(self, folder: Path, lock: Path) -> None:
        try:
            with FileLock(lock, timeout=0):
                for page in sorted(folder.glob(f"{lock.stem}-*.jsonl")):
                    own = page.rename(self._next_path(folder))
                    self._left.append(Page(own, [], own.read_bytes().count(b"\n")))
                lock.unlink(missing_ok=True)
        except Timeout:  # it lives
            pass

    def _append(self, line: bytes) -> None:
        if self._folder is None:
            raise OSError(errno.ENOENT, "there is no folder")
        if self._file is None:
            self._file = open(self._next_path(self._folder), "ab", buffering=0)  # noqa: SIM115 - closed with the page
        before = self._file.seek(0, os.SEEK_END)  # not where a refused write has left off
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._file.truncate(before)
            raise

    def _next_path(self, folder: Path) -> Path:
        self._number += 1
        return folder / f"{self._token}-{self._number:09d}.jsonl"

    def _closed(self) -> Path | None:
        if self._file is None:
            return None
        self._file.close()
        return Path(str(self._file.name))
