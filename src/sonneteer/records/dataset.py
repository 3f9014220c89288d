"""What became of the data: sources, splits, and one fate for every row."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sonneteer.records.record import Record

SplitName = Literal["train", "validation", "test", "replay"]
"""The last is general data, mixed into training against forgetting; only some data sets have it."""
Fate = Literal[
    "train",
    "validation",
    "test",
    "replay",
    "broken",
    "duplicate",
    "near_duplicate",
    "contaminated",
    "dropped",
    "too_long",
    "nothing_to_learn",
    "disliked",
    "private",
]
KEPT: tuple[SplitName, ...] = ("train", "validation", "test")
"""The sides that a data set is split into."""


class LedgerEntry(Record):
    """What became of one source row, and why."""

    source: str
    row: int
    """Line number in a text file, row number (from 1) elsewhere."""
    fate: Fate
    reason: str = ""
    example_id: str | None = None
    remarks: tuple[str, ...] = ()
    """What was repaired or noted, whatever the fate."""


class Source(Record):
    """One file that rows were read from, as it was at that moment."""

    path: str
    sha256: str
    format: str
    rows: int
    licence: str = ""
    """As the recipe states it."""


class Split(Record):
    """One side of the split: a Parquet file in the store, named by its content."""

    file: str
    examples: int
    fingerprint: str


class DatasetVersion(Record):
    """Frozen splits, named by the fingerprint of their content, with the ledger of every source row."""

    id: str
    name: str
    created_at: datetime
    prepared_from: str
    """Fingerprint of the sources' contents and of the settings: the same again need not be prepared again."""
    splits: dict[SplitName, Split]
    sources: tuple[Source, ...]
    totals: dict[Fate, int]
    """Rows by fate. Their sum is the number of rows that the sources hold."""
    ledger_file: str
    redacted: dict[str, int] = Field(default_factory=dict)
    """Personal data that was taken out of the rows, pieces by type."""
    redacted_rows: int = 0
    """Rows that something was taken out of."""
    tag_counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Kept examples by tag and value, of the tags with at most fifty values."""
    token_counts: dict[SplitName, int] = Field(default_factory=dict)
    learned_token_counts: dict[SplitName, int] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all sources."""
        return sum(self.totals.values())

    @property
    def copies(self) -> int:
        """Training examples that are a row's copy with groups swapped, and have no row of their own."""
        return self.splits["train"].examples - self.totals.get("train", 0) if "train" in self.splits else 0
