"""Frozen splits: Parquet files named by their content, read back exactly, and the record that names them."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as arrow
import pyarrow.parquet as parquet

from sonneteer.data import ledger as book
from sonneteer.data import private
from sonneteer.data.clean import Counted
from sonneteer.data.contents import Content, fingerprints
from sonneteer.data.ledger import Ledger
from sonneteer.records import DatasetVersion, Example, LedgerEntry, Source, Split, SplitName, fingerprint_of
from sonneteer.store import Store

MOST_VALUES = 50
AT_ONCE = 20_000
TOKENS, LEARNED = "tokens", "learned_tokens"
SCHEMA = arrow.schema(
    {"id": arrow.string(), "example": arrow.large_string(), TOKENS: arrow.int64(), LEARNED: arrow.int64()}
)


class Draft(NamedTuple):
    """All that a data set is made of, before it has a name."""

    name: str
    prepared_from: str
    sources: list[Source]
    sides: dict[SplitName, list[Counted]]
    ledger: Ledger
    held_out: Mapping[SplitName, Split] = {}
    """Sides of another data set that stand in this one as they are."""


def freeze(draft: Draft, store: Store) -> DatasetVersion:
    """Keep the splits and the ledger, and name the data set by their content. What is known already stays as it was."""
    names = fingerprints({side: map(_content, counted) for side, counted in draft.sides.items()})
    splits = {side: _kept(store, counted, names[side]) for side, counted in draft.sides.items()} | dict(draft.held_out)
    redacted_rows, redacted = private.redacted(draft.ledger.close())
    ledger_file = store.put(book.to_bytes(draft.ledger.close()), "jsonl")
    id = fingerprint_of([draft.name, {side: split.fingerprint for side, split in splits.items()}, ledger_file])
    known = store.find(DatasetVersion, id=id)
    dataset = DatasetVersion(
        id=id,
        name=draft.name,
        created_at=known[0].created_at if known else datetime.now(UTC),
        prepared_from=draft.prepared_from,
        splits=splits,
        sources=tuple(draft.sources),
        totals=draft.ledger.totals(),
        ledger_file=ledger_file,
        redacted=redacted,
        redacted_rows=redacted_rows,
        tag_counts=tag_counts_of(one.candidate.tags for counted in draft.sides.values() for one in counted),
        token_counts={side: sum(one.tokens for one in counted) for side, counted in draft.sides.items()},
        learned_token_counts={
            side: sum(one.learned_tokens for one in counted) for side, counted in draft.sides.items()
        },
    )
    store.save(dataset)
    return dataset


def read_split(store: Store, dataset: DatasetVersion, split: SplitName) -> list[Example]:
    """The examples of one side of the split."""
    table = parquet.read_table(store.path(dataset.splits[split].file), columns=["example"])
    return [Example.model_validate_json(line) for line in table.column("example").to_pylist()]


def ids_in(store: Store, dataset: DatasetVersion, split: SplitName) -> list[str]:
    """The ids of the examples of one side of the split."""
    ids: list[str] = parquet.read_table(store.path(dataset.splits[split].file), columns=["id"])["id"].to_pylist()
    return ids


def read_ledger(store: Store, dataset: DatasetVersion) -> list[LedgerEntry]:
    """What became of every source row."""
    return book.from_bytes(store.path(dataset.ledger_file).read_bytes())


def tag_counts_of(tagged: Iterable[Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """How many examples have each value, of the tags with few of them."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for tags in tagged:
        for tag, value in tags.items():
            counts[tag][value] += 1
    return {tag: dict(values.most_common()) for tag, values in counts.items() if len(values) <= MOST_VALUES}


def _content(one: Counted) -> Content:
    fields = one.candidate.fields
    return Content(one.candidate.id, fields.get("reference", {}), fields.get("tags", {}))


def _kept(store: Store, counted: Sequence[Counted], fingerprint: str) -> Split:
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(counted), AT_ONCE):
            rows = [
                (one.candidate.id, one.candidate.line, one.tokens, one.learned_tokens)
                for one in counted[start : start + AT_ONCE]
            ]
            writer.write_table(arrow.table([*map(list, zip(*rows, strict=True))], SCHEMA))
    return Split(file=store.put(buffer.getvalue(), "parquet"), examples=len(counted), fingerprint=fingerprint)
