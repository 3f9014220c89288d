"""What changed between two data sets: sources, fates, and which examples came, went, or moved to another side."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sonneteer.data.freeze import read_ledger
from sonneteer.privacy import is_digest
from sonneteer.records import KEPT, DatasetVersion, LedgerEntry
from sonneteer.store import Store

SHOWN = 5


class Change(NamedTuple):
    """One thing that is not as it was."""

    what: str
    before: str
    after: str
    places: list[str]
    """Source rows of the first of them."""


def changes(store: Store, before: DatasetVersion, after: DatasetVersion) -> list[Change]:
    """What is different in the second data set."""
    return [
        *_of_sources(before, after),
        *_of_numbers(before, after),
        *_of_examples(read_ledger(store, before), read_ledger(store, after)),
    ]


def _of_sources(before: DatasetVersion, after: DatasetVersion) -> list[Change]:
    old, new = ({source.path: source for source in dataset.sources} for dataset in (before, after))
    found = []
    for path in sorted(old.keys() | new.keys()):
        was, became = old.get(path), new.get(path)
        if was is None or became is None:
            found.append(Change(f"source {path}", "read" if was else "", "read" if became else "", []))
        elif was.sha256 != became.sha256:
            told = [f"{source.rows:,} rows, {source.sha256[:12]}" for source in (was, became)]
            found.append(Change(f"source {path}", told[0], told[1], []))
        elif was != became:
            found.append(Change(f"source {path}", f"read as {was.format}", f"read as {became.format}", []))
    return found


def _of_numbers(before: DatasetVersion, after: DatasetVersion) -> list[Change]:
    found = []
    for fate in sorted(before.totals.keys() | after.totals.keys()):
        old, new = before.totals.get(fate, 0), after.totals.get(fate, 0)
        if old != new:
            found.append(Change(f"rows: {fate.replace('_', ' ')}", f"{old:,}", f"{new:,}", []))
    for side in KEPT:
        old, new = before.learned_token_counts.get(side, 0), after.learned_token_counts.get(side, 0)
        if old != new:
            found.append(Change(f"learned tokens in {side}", f"{old:,}", f"{new:,}", []))
    for tag in sorted(before.tag_counts.keys() | after.tag_counts.keys()):
        old_tag, new_tag = before.tag_counts.get(tag, {}), after.tag_counts.get(tag, {})
        for value in sorted(old_tag.keys() | new_tag.keys()):
            old, new = old_tag.get(value, 0), new_tag.get(value, 0)
            if old != new and not is_digest(value):  # which tells people nothing
                found.append(Change(f"{tag}: {value}", f"{old:,}", f"{new:,}", []))
    return found


def _of_examples(before: list[LedgerEntry], after: list[LedgerEntry]) -> list[Change]:
    """Examples are known by the fingerprint of what they say."""
    old, new = ({entry.example_id: entry for entry in entries if entry.fate in KEPT} for entries in (before, after))
    moves: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], list[str]] = {}
    for id in old.keys() | new.keys():
        was, became = old.get(id), new.get(id)
        move = (was.fate if was else "", became.fate if became else "")
        if move[0] != move[1]:
            moves[move] += 1
            entry = became or was
            assert entry is not None
            places.setdefault(move, []).append(f"{entry.source}:{entry.row}")
    return [
        Change(f"{count:,} examples {_moved(*move)}", *move, sorted(places[move])[:SHOWN])
        for move, count in sorted(moves.items())
    ]


def _moved(before: str, after: str) -> str:
    if not before:
        return f"came to {after}"
    return f"moved from {before} to {after}" if after else f"left {before}"
