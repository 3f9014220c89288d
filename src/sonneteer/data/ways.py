"""The way of a row: renamed, recognised, tagged, cleaned; packed as a candidate, or lost with its reason.

Parts of a source are done one by one, by any process, and kept until the whole is done: interrupted work goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as arrow

from sonneteer.data.candidates import Packed, Passed, RowStep, packed, passed_through
from sonneteer.data.examples import TAGS
from sonneteer.data.shapes import SHAPES
from sonneteer.data.values import Fields, RawRow
from sonneteer.errors import DataError
from sonneteer.recipe.sections import SourceSettings
from sonneteer.records import Example, Fate, fingerprint_of
from sonneteer.store import write_whole

LONGEST_TAG = 100
LONGEST_KEPT = 1 << 31
SIZE = 8  # bytes before what is kept, that say how long it is


class Part(NamedTuple):
    """Some rows of one source."""

    settings: SourceSettings
    shape: str
    rows: Sequence[RawRow]
    name: str = ""
    """Under which its result is kept; nothing where that is not worth it."""


class Done(NamedTuple):
    """What became of one row."""

    row: int
    remarks: Sequence[str]
    packed: Packed | None = None
    """The example; nothing where it is lost."""
    fate: Fate = "dropped"
    reason: str = ""


class Walked(NamedTuple):
    """What became of a part."""

    settings: SourceSettings
    rows: Sequence[Done]


class Way(NamedTuple):
    """The steps of all rows, and where the results of parts are kept."""

    steps: Sequence[RowStep]
    kept: Path | None = None

    def walk(self, part: Part) -> Walked:
        """What became of a part's rows, now or when it was done before."""
        path = self.kept / f"{part.name}.zst" if self.kept and part.name else None
        known = _read(path) if path else None
        if known is None:
            known = [self._done(row, part) for row in part.rows]
            if path:
                _write(path, known)
        return Walked(part.settings, known)

    def _done(self, row: RawRow, part: Part) -> Done:
        try:
            example, remarks, reason, fate = passed_through(self.steps, example_of(renamed(row, part.settings), part))
        except DataError as problem:
            example, remarks, reason, fate = Passed(None, (), str(problem), "broken")
        if example is None:
            return Done(row.number, remarks, fate=fate, reason=reason)
        return Done(row.number, remarks, packed(example))


def renamed(row: RawRow, settings: SourceSettings) -> RawRow:
    """The same row with its fields under the names that the shapes use."""
    if not settings.fields or row.fields is None:
        return row
    return row._replace(fields=_under_our_names(row.fields, settings))


def _under_our_names(fields: Fields, settings: SourceSettings) -> Fields:
    theirs = set(settings.fields.values())
    kept = {key: value for key, value in fields.items() if key not in theirs}
    return kept | {ours: fields[their] for ours, their in settings.fields.items() if their in fields}


def example_of(row: RawRow, part: Part) -> Example:
    """A row of a part, with its tags. Raises DataError where it cannot be read."""
    if row.fields is None:
        raise DataError(row.problem)
    example = SHAPES[part.shape].read(row.fields)
    return example.model_copy(update={"tags": _tags(row.fields, part.settings)})


def _tags(fields: Fields, settings: SourceSettings) -> dict[str, str]:
    """Tags of the file, of the row, and those that the recipe gives: the later ones win."""
    own = fields.get("tags")
    given = {key: fields.get(key) for key in TAGS} | (dict(own) if isinstance(own, dict) else {})
    tags = {str(key): _tag(value) for key, value in given.items() if isinstance(value, str | int | float)}
    return {"source": Path(settings.path).name} | {key: tag for key, tag in tags.items() if tag} | settings.tags


def _tag(value: str | int | float) -> str:
    """Tags are counted and shown, so a whole document in a tag's place is named by its fingerprint."""
    text = str(value).strip()
    return text if len(text) <= LONGEST_TAG else fingerprint_of(text)


def _write(path: Path, rows: Sequence[Done]) -> None:
    content = json.dumps(rows, ensure_ascii=False).encode()
    write_whole(path, len(content).to_bytes(SIZE, "big") + arrow.compress(content, codec="zstd", asbytes=True))


def _read(path: Path) -> list[Done] | None:
    """A part that was done before; nothing where it was not, or is no longer what was written."""
    try:
        content = path.read_bytes()
        size = min(LONGEST_KEPT, int.from_bytes(content[:SIZE], "big"))
        rows = json.loads(arrow.decompress(content[SIZE:], size, codec="zstd", asbytes=True))
        return [
            Done(row, tuple(remarks), Packed(*example) if example else None, fate, reason)
            for row, remarks, example, fate, reason in rows
        ]
    except (OSError, ValueError, TypeError, arrow.ArrowException):
        return None
