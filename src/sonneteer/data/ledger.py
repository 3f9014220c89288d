"""The ledger: what became of every source row. Its totals balance, or the preparation fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sonneteer.records import Fate, LedgerEntry


class _Known(NamedTuple):
    """What is known of a row; its place is the key under which it stands."""

    fate: Fate
    reason: str
    example_id: str | None


class Ledger:
    """One entry for each row of each source, written when the row's fate is known."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, _Known]] = {}
        self._remarks: dict[tuple[str, int], tuple[str, ...]] = {}
        self._rows: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """Rows of all sources that were opened."""
        return sum(self._rows.values())

    def open(self, source: str, rows: int) -> None:
        """A source with so many rows is being read."""
        assert source not in self._rows, f"{source} is opened twice"
        self._rows[source] = rows

    def enter(self, entry: LedgerEntry) -> None:
        """The row's fate. Each row has one."""
        rows = self._known.setdefault(entry.source, {})
        assert entry.row not in rows, f"two fates for {entry.source}:{entry.row}"
        rows[entry.row] = _Known(entry.fate, entry.reason, entry.example_id)

    def remark(self, source: str, row: int, *remarks: str) -> None:
        """What was done to a row, or is noted of it, whatever its fate."""
        if remarks:
            self._remarks[source, row] = self._remarks.get((source, row), ()) + remarks

    def of_fate(self, fate: Fate) -> list[LedgerEntry]:
        """The entries of one fate, in the order in which they were entered."""
        return [
            self._entry(source, row)
            for source, rows in self._known.items()
            for row, known in rows.items()
            if known.fate == fate
        ]

    def close(self) -> Iterator[LedgerEntry]:
        """All entries in the order of the sources and rows."""
        fated = {source: len(rows) for source, rows in self._known.items()}
        opened = {source: rows for source, rows in self._rows.items() if rows}
        assert fated == opened, f"fates {fated} for rows {opened}"
        return self.known()

    def known(self) -> Iterator[LedgerEntry]:
        """The entries that there are so far, in this order, too."""
        return (self._entry(source, row) for source in self._rows for row in sorted(self._known.get(source, {})))

    def totals(self) -> dict[Fate, int]:
        """Rows by fate."""
        return dict(Counter(known.fate for rows in self._known.values() for known in rows.values()))

    def _entry(self, source: str, row: int) -> LedgerEntry:
        known = self._known[source][row]
        remarks = self._remarks.get((source, row), ())
        return LedgerEntry(source=source, row=row, **known._asdict(), remarks=remarks)


def to_bytes(entries: Iterable[LedgerEntry]) -> bytes:
    """The ledger as JSON lines."""
    lines = (json.dumps(entry.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for entry in entries)
    return "".join(f"{line}\n" for line in lines).encode()


def from_bytes(content: bytes) -> list[LedgerEntry]:
    """The entries of such lines."""
    return [LedgerEntry.model_validate_json(line) for line in content.split(b"\n") if line]
