"""Harvested rows on the disk: one file a side, and a row never changes its side."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sonneteer import data
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import KEPT, SplitName, fingerprint_of
from sonneteer.records.rows import Row
from sonneteer.store import write_whole


def put(folder: Path, rows: Sequence[Row], gone: Collection[str], settings: DataSettings) -> int:
    """Add rows, each to its side, and take out those of the exchanges that are `gone`; returns how many are new."""
    there = {side: read(folder / f"{side}.jsonl") for side in KEPT}
    sides = _sides(rows, there, settings)
    return sum(
        _update(folder / f"{side}.jsonl", [row for row in rows if sides[exchange_of(row)] == side], there[side], gone)
        for side in KEPT
    )


def _sides(
    rows: Sequence[Row], there: Mapping[SplitName, Sequence[Row]], settings: DataSettings
) -> dict[str, SplitName]:
    """The side of each exchange. Of those that the data room keeps together, the oldest decides.

    Drawn one by one, a question that many people ask would be learned by nobody: the first of them that is drawn for
    the test would make leaks of all others.
    """
    known = {exchange_of(row): side for side, kept in there.items() for row in kept}
    every = sorted([*rows, *(row for kept in there.values() for row in kept)], key=lambda row: str(row["tags"]["time"]))
    together: dict[int, list[Row]] = defaultdict(list)
    for row, group in zip(every, data.bound(every, settings), strict=True):
        together[group].append(row)
    sides = dict(known)
    for members in together.values():
        told = [known[exchange_of(row)] for row in members if exchange_of(row) in known]
        drawn = told[0] if told else side_of(str(members[0]["tags"]["conversation"]), settings)
        for row in members:
            sides.setdefault(exchange_of(row), drawn)
    if rows and "train" not in sides.values():  # else all of it were sealed, and nothing ever learned
        largest = max(together.values(), key=len)
        sides |= {exchange_of(row): "train" for row in largest if exchange_of(row) not in known}
    return sides


def side_of(conversation: str, settings: DataSettings) -> SplitName:
    """The side that a conversation draws: always the same, so that what was sealed once is never learned."""
    drawn = int(fingerprint_of(["side", conversation])[:8], 16) / 16**8
    if drawn < settings.test_share:
        return "test"
    return "validation" if drawn < settings.test_share + settings.validation_share else "train"


def _update(path: Path, rows: Sequence[Row], there: Sequence[Row], gone: Collection[str]) -> int:
    """Take out the rows of the exchanges that are gone, and of those that have new rows; returns how many are new."""
    replaced = {*gone, *map(exchange_of, rows)}
    kept = [row for row in there if exchange_of(row) not in replaced]
    known = {json.dumps(row, sort_keys=True) for row in there}
    new = [row for row in rows if json.dumps(row, sort_keys=True) not in known]
    if new or len(kept) + len(rows) != len(there):
        write(path, [*kept, *rows])
    return len(new)


def write(path: Path, rows: Sequence[Row]) -> None:
    """One JSON object a line; the file is whole or not there."""
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def exchange_of(row: Row) -> str:
    """The exchange that a row was harvested from."""
    return str(row["tags"]["exchange"])
