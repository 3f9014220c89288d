"""A preparation that the data failed: its account of the rows is kept, so that people can ask what was wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sonneteer.data import ledger as book
from sonneteer.data.ledger import Ledger
from sonneteer.errors import DataError
from sonneteer.records import LedgerEntry
from sonneteer.store import write_whole


class RefusedError(DataError):
    """The rows were read, and are not fit by the recipe's own rules: nothing was frozen."""

    def __init__(self, problem: str, entries: Sequence[LedgerEntry]) -> None:
        super().__init__(f"{problem}\nWhat became of the rows: sonneteer ledger")
        self.problem = problem
        self.entries = entries
        """What is known of the rows. Where the preparation ended early, those that were not yet lost are missing."""


@contextmanager
def kept_if_refused(ledger: Ledger, kept: Path) -> Iterator[None]:
    """What is raised of rows that were read is kept with their ledger. The same rows and rules are refused at once.

    Raises RefusedError in place of every DataError.
    """
    if kept.exists():
        first, _, lines = kept.read_bytes().partition(b"\n")
        raise RefusedError(json.loads(first), book.from_bytes(lines))
    try:
        yield
    except DataError as problem:
        if not ledger.rows:
            raise
        known = list(ledger.known())
        write_whole(kept, json.dumps(str(problem)).encode() + b"\n" + book.to_bytes(known))
        raise RefusedError(str(problem), known) from problem
