"""The ledger: what became of every source row. Its totals balance, or the preparation fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from sonneteer.records import Fate, LedgerEntry


class Ledger:
    """One entry for each row of each source, written when the row's fate is known."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], LedgerEntry] = {}
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
        place = (entry.source, entry.row)
        assert place not in self._entries, f"two fates for {place}"
        self._entries[place] = entry

    def of_fate(self, fate: Fate) -> list[LedgerEntry]:
        """The entries of one fate, in the order in which they were entered."""
        return [entry for entry in self._entries.values() if entry.fate == fate]

    def close(self) -> list[LedgerEntry]:
        """All entries in the order of the sources and rows."""
        fated = Counter(entry.source for entry in self._entries.values())
        assert fated == Counter(self._rows), f"fates {dict(fated)} for rows {self._rows}"
        order = {source: number for number, source in enumerate(self._rows)}
        return sorted(self._entries.values(), key=lambda entry: (order[entry.source], entry.row))


def totals(entries: Iterable[LedgerEntry]) -> dict[Fate, int]:
    """Rows by fate."""
    return dict(Counter(entry.fate for entry in entries))


def to_bytes(entries: Iterable[LedgerEntry]) -> bytes:
    """The ledger as JSON lines."""
    lines = (json.dumps(entry.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for entry in entries)
    return "".join(f"{line}\n" for line in lines).encode()


def from_bytes(content: bytes) -> list[LedgerEntry]:
    """The entries of such lines."""
    return [LedgerEntry.model_validate_json(line) for line in content.split(b"\n") if line]
