"""What lost rows say, for the card: read again from their sources, for the ledger keeps no texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from sonneteer.data.files import load
from sonneteer.data.read import stream
from sonneteer.errors import DataError
from sonneteer.records import Fate, LedgerEntry, Source

TELLING: tuple[Fate, ...] = ("dropped", "too_long", "nothing_to_learn", "disliked", "private")
LIKE_SEALED = "leak"
"""Rows of other fates, and with reasons that begin so, are like something that may be sealed, or cannot be read."""


def texts_of(entries: Sequence[LedgerEntry], sources: Sequence[Source], folder: Path) -> dict[tuple[str, int], str]:
    """By source and row, where the source is a file in or below `folder` and still is what it was."""
    told: dict[tuple[str, int], str] = {}
    for source in sources:
        rows = {entry.row for entry in entries if entry.source == source.path and _may_be_told(entry)}
        with suppress(DataError):  # no file, or none whose rows are numbered
            told |= {(source.path, row): text for row, text in _texts(folder / source.path, source.sha256, rows)}
    return told


def _may_be_told(entry: LedgerEntry) -> bool:
    return entry.fate in TELLING and not entry.reason.startswith(LIKE_SEALED)


def _texts(path: Path, sha256: str, rows: set[int]) -> Iterator[tuple[int, str]]:
    if not rows or path.suffix == ".txt" or not path.is_file():  # a document's rows are its passages
        return
    file = load(path)
    if file.sha256 != sha256:
        return
    with closing(stream(file).rows) as read:
        for row in read:
            if row.number in rows and row.fields:
                yield row.number, " ".join(_words(row.fields))
            if row.number >= max(rows):
                return


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, Mapping):
        value = [each for key, each in value.items() if key not in ("role", "tags", "id")]
    if isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_words, value))
