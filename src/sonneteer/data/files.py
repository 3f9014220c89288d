"""A source's bytes as they were at one moment. They flow block by block, and are never held as a whole."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from sonneteer.errors import DataError

BLOCK = 1 << 20


class _Moment(NamedTuple):
    """By which a file that is changed meanwhile is recognised."""

    size: int
    changed_at: int


class _Aside:
    """A temporary file that is gone when nobody has it any more."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def __del__(self) -> None:
        self._file.close()

    def written(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks, written down."""
        for block in blocks:
            self._file.write(block)
            yield block
        self._file.flush()

    def open(self) -> BinaryIO:
        """What is written, from the first byte. One reader at a time."""
        self._file.seek(0)
        return os.fdopen(os.dup(self._file.fileno()), "rb")


class SourceFile(NamedTuple):
    """A file as it was when it was looked at."""

    name: str
    """As it is called: its path, or its URL."""
    sha256: str
    lines: int
    """Line ends among its bytes."""
    kind: str = ""
    """The suffix that says how to read it, where its name does not."""
    aside: _Aside | None = None
    """A copy, where no file of this name has the bytes."""
    moment: _Moment | None = None

    def open(self) -> BinaryIO:
        """Its bytes from the first one. Raises DataError where the file is not what it was."""
        if self.aside is not None:
            return self.aside.open()
        stream = _opened(Path(self.name))
        if _moment(stream) != self.moment:
            stream.close()
            raise DataError(f"{self.name} was changed while it was read. Give the command again when it is whole.")
        return stream

    def read(self) -> bytes:
        """All its bytes at once."""
        with self.open() as stream:
            return stream.read()

    def check(self) -> None:
        """Raises DataError where the file was changed while it was read."""
        if self.aside is None:
            self.open().close()


def load(path: Path) -> SourceFile:
    """A file whose rows are read later. Raises DataError where there is none, and names the nearest."""
    with _opened(path) as stream:
        moment = _moment(stream)
        try:
            return _summed(iter(lambda: stream.read(BLOCK), b""), SourceFile(str(path), "", 0, moment=moment))
        except OSError as problem:
            raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem


def kept_aside(name: str, blocks: Iterable[bytes], kind: str = "") -> SourceFile:
    """What comes from elsewhere than a file, in a temporary file that is gone with this process."""
    aside = _Aside()
    return _summed(aside.written(blocks), SourceFile(name, "", 0, kind, aside))


def flowing(blocks: Generator[bytes]) -> BinaryIO:
    """Blocks of bytes as one stream, which reads them as it is read."""
    return cast(BinaryIO, io.BufferedReader(_Flow(blocks), BLOCK))


class _Flow(io.RawIOBase):
    def __init__(self, blocks: Generator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def close(self) -> None:
        self._blocks.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _summed(blocks: Iterator[bytes], file: SourceFile) -> SourceFile:
    digest, lines = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        lines += block.count(b"\n")
    return file._replace(sha256=digest.hexdigest(), lines=lines)


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError as problem:
        raise DataError(f"{path} does not exist. {_nearest(path)}") from problem
    except IsADirectoryError as problem:
        raise DataError(f"{path} is a folder. Name the files in it.") from problem
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem


def _moment(stream: BinaryIO) -> _Moment:
    found = os.fstat(stream.fileno())
    return _Moment(found.st_size, found.st_mtime_ns)


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    names = sorted(file.name for file in path.parent.iterdir())
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"The folder {path.parent} holds: {', '.join(names[:8]) or 'nothing'}."
