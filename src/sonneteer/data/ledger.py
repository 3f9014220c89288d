"""The ledger: what became of every source row. Its totals balance, or the preparation fails."""

from __future__ import annotations

import json
from collections import Counter

from sonneteer.records import Fate, LedgerEntry


class Ledger:
    """One entry for each row of each source, written when the row's fate is known."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], LedgerEntry] = {}
        self._rows = 0

    def open(self, source: str, rows: int) -> None:
        """A source with so many rows is being read."""
        self._rows += rows

    def enter(self, entry: LedgerEntry) -> None:
        """The row's fate. Each row has one."""
        place = (entry.source, entry.row)
        assert place not in self._entries, f"two fates for {place}"
        self._entries[place] = entry

    def close(self) -> list[LedgerEntry]:
        """All entries in the order of the sources and rows."""
        assert len(self._entries) == self._rows, f"{len(self._entries)} fates for {self._rows} rows"
        return sorted(self._entries.values(), key=lambda entry: (entry.source, entry.row))

    def of_fate(self, fate: Fate) -> list[LedgerEntry]:
        """The entries of one fate, in the order in which they were entered."""
        return [entry for entry in self._entries.values() if entry.fate == fate]


def totals(entries: list[LedgerEntry]) -> dict[Fate, int]:
    """Rows by fate."""
    return dict(Counter(entry.fate for entry in entries))


def to_bytes(entries: list[LedgerEntry]) -> bytes:
    """The ledger as JSON lines."""
    lines = (json.dumps(entry.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for entry in entries)
    return ("\n".join(lines) + "\n").encode()


def from_bytes(content: bytes) -> list[LedgerEntry]:
    """The entries of such lines."""
    return [LedgerEntry.model_validate_json(line) for line in content.split(b"\n") if line]
