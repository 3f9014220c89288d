"""Turn raw sources into a frozen, split data set, with the fate of every row on record."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as arrow
import pyarrow.parquet as parquet
from pydantic import ValidationError

from sonneteer.data import ledger as book
from sonneteer.data.ledger import Ledger
from sonneteer.data.read import RawFile, RawRow, read_file
from sonneteer.data.shapes import SHAPES, recognise
from sonneteer.data.split import split
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import DataSettings, Recipe, SourceSettings
from sonneteer.records import (
    KEPT,
    DatasetVersion,
    Example,
    Fate,
    LedgerEntry,
    Rendered,
    Renderer,
    Source,
    Split,
    SplitName,
    fingerprint_of,
)
from sonneteer.store import Store

TAGS = ("person", "conversation", "document", "topic", "group", "source", "time")
Note = Callable[[str], None]


class Candidate(NamedTuple):
    """An example on its way through the preparation, and the row that it came from."""

    source: str
    row: int
    example: Example

    def entry(self, fate: Fate, reason: str = "") -> LedgerEntry:
        """The ledger's line for its row."""
        return LedgerEntry(source=self.source, row=self.row, fate=fate, reason=reason, example_id=self.example.id)


class Reader(Protocol):
    """The model that will learn from the data: its template and tokenizer decide what is too long."""

    fingerprint: str
    """Of what decides how it renders."""

    def renderer(self, examples: Sequence[Example]) -> Renderer:
        """How it reads. A model from scratch makes its tokenizer from the examples."""
        ...


def prepare(recipe: Recipe, folder: Path, store: Store, reader: Reader, note: Note) -> DatasetVersion:
    """Read, clean, split and freeze. The same sources and settings give the same version, found at once.

    Raises DataError where sources cannot be read, too many rows are broken, or nothing is left to learn.
    """
    files = [read_file(folder / source.path) for source in recipe.data.sources]
    origin = _origin(recipe, files, reader)
    if known := store.find(DatasetVersion, prepared_from=origin):
        note(f"Data set {known[0].id} holds exactly this already.")
        return known[0]
    ledger = Ledger()
    sources, candidates = _read(recipe.data, folder, files, ledger, note)
    if recipe.data.remove_duplicates:
        candidates = _without_duplicates(candidates, ledger)
    candidates = _without_disliked(candidates, ledger)
    renderer = reader.renderer([candidate.example for candidate in candidates])
    candidates, counts = _learnable(candidates, recipe.data, renderer, ledger)
    sides = split([candidate.example for candidate in candidates], recipe.data, recipe.seed)
    for candidate, side in zip(candidates, sides, strict=True):
        ledger.enter(candidate.entry(side))
    dataset = _freeze(_Frozen(recipe.name, origin, sources, ledger.close(), counts), candidates, sides, store)
    store.save(dataset)
    return dataset


def _origin(recipe: Recipe, files: list[RawFile], reader: Reader) -> str:
    """Fingerprint of everything that the result depends on. The number counts changes of this preparation itself."""
    settings = recipe.data.model_dump(mode="json")
    return fingerprint_of([1, recipe.name, recipe.seed, settings, [file.sha256 for file in files], reader.fingerprint])


def read_split(store: Store, dataset: DatasetVersion, side: SplitName) -> list[Example]:
    """The examples of one side of the split."""
    table = parquet.read_table(store.path(dataset.splits[side].file))
    return [Example.model_validate_json(line) for line in table.column("example").to_pylist()]


def read_ledger(store: Store, dataset: DatasetVersion) -> list[LedgerEntry]:
    """What became of every source row."""
    return book.from_bytes(store.path(dataset.ledger_file).read_bytes())


# Reading ---------------------------------------------------------------------------------------


def _read(
    data: DataSettings, folder: Path, files: list[RawFile], ledger: Ledger, note: Note
) -> tuple[list[Source], list[Candidate]]:
    sources, candidates = [], []
    for settings, raw in zip(data.sources, files, strict=True):
        file = _renamed(raw, settings, folder / settings.path)
        source, found = _read_source(settings, file, folder / settings.path, ledger, note)
        sources.append(source)
        candidates += found
    rows, broken = sum(source.rows for source in sources), ledger.of_fate("broken")
    if len(broken) > data.bad_rows_share * rows:
        listed = "\n".join(f"  {entry.source}, row {entry.row}: {entry.reason}" for entry in broken[:10])
        more = f"\n  and {len(broken) - 10} more" if len(broken) > 10 else ""
        raise DataError(
            f"{len(broken)} of {rows} rows cannot be read, more than data.bad_rows_share allows "
            f"({data.bad_rows_share:.0%}):\n{listed}{more}"
        )
    return sources, candidates


def _read_source(
    settings: SourceSettings, file: RawFile, path: Path, ledger: Ledger, note: Note
) -> tuple[Source, list[Candidate]]:
    name = settings.path
    shape = _shape(settings, path, file.rows)
    ledger.open(name, len(file.rows))
    candidates = []
    for row in file.rows:
        try:
            example = _example(row, shape, settings)
        except DataError as problem:
            ledger.enter(LedgerEntry(source=name, row=row.number, fate="broken", reason=str(problem)))
        else:
            candidates.append(Candidate(name, row.number, example))
    note(f"{name}: {len(file.rows)} rows of the shape '{shape}', {SHAPES[shape].says}")
    return Source(path=name, sha256=file.sha256, format=shape, rows=len(file.rows)), candidates


def _renamed(file: RawFile, settings: SourceSettings, path: Path) -> RawFile:
    """The same rows with their fields under the names that the shapes use."""
    columns = {key for row in file.rows if row.fields for key in row.fields}
    for name, theirs in settings.fields.items():
        if theirs not in columns:
            near = get_close_matches(theirs, columns, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(sorted(columns))}."
            raise RecipeError(f"data.sources: fields.{name}: {path} has no field '{theirs}'. {hint}")
    rows = [
        row._replace(fields={**row.fields, **{name: row.fields[t] for name, t in settings.fields.items() if t in row.fields}})
        if row.fields
        else row
        for row in file.rows
    ]
    return file._replace(rows=rows)


def _shape(settings: SourceSettings, path: Path, rows: list[RawRow]) -> str:
    if settings.format in SHAPES:
        return settings.format
    if settings.format != "auto":
        near = get_close_matches(settings.format, SHAPES, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known are auto, {', '.join(SHAPES)}."
        raise RecipeError(f"data.sources: '{settings.format}' is no known format. {hint}")
    readable = [row.fields for row in rows if row.fields is not None][:100]
    if not readable:
        listed = "\n".join(f"  row {row.number}: {row.problem}" for row in rows[:10])
        raise DataError(f"{path}: not one of its {len(rows)} rows can be read:\n{listed}")
    try:
        return recognise(readable)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem


def _example(row: RawRow, shape: str, settings: SourceSettings) -> Example:
    """Raises DataError with a reason that names fields and types, never what stands in them."""
    if row.fields is None:
        raise DataError(row.problem)
    try:
        example = SHAPES[shape].read(row.fields)
    except KeyError as problem:
        raise DataError(f"the field {problem} is missing") from problem
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        raise DataError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".lstrip(": ")) from problem
    except (ValueError, TypeError, AttributeError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"the row does not have the shape '{shape}' ({type(problem).__name__})") from problem
    return example.model_copy(update={"tags": _tags(row.fields, settings)})


def _tags(fields: dict[str, object], settings: SourceSettings) -> dict[str, str]:
    tags = {"source": settings.path}
    tags |= {key: str(fields[key]) for key in TAGS if isinstance(fields.get(key), str | int | float)}
    own = fields.get("tags")
    if isinstance(own, dict):
        tags |= {str(key): str(value) for key, value in own.items()}
    return tags | settings.tags


# Cleaning --------------------------------------------------------------------------------------


def _without_duplicates(candidates: list[Candidate], ledger: Ledger) -> list[Candidate]:
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        original = first.setdefault(candidate.example.id, candidate)
        if original is not candidate:
            ledger.enter(candidate.entry("duplicate", f"says the same as {original.source}, row {original.row}"))
    return list(first.values())


def _without_disliked(candidates: list[Candidate], ledger: Ledger) -> list[Candidate]:
    kept = []
    for candidate in candidates:
        if candidate.example.label is False:
            ledger.enter(candidate.entry("disliked", "people rejected this answer, so it is not imitated"))
        else:
            kept.append(candidate)
    return kept


Tokens = dict[str, tuple[int, int]]
"""Tokens and learned tokens of each example, by its id."""


def _learnable(
    candidates: list[Candidate], data: DataSettings, renderer: Renderer, ledger: Ledger
) -> tuple[list[Candidate], Tokens]:
    kept: list[Candidate] = []
    counts: Tokens = {}
    for candidate in candidates:
        try:
            sequences = renderer.render(candidate.example)
        except DataError as problem:
            ledger.enter(candidate.entry("broken", str(problem)))
            continue
        fate, reason = _verdict(candidate.example, sequences, data)
        if fate is not None:
            ledger.enter(candidate.entry(fate, reason))
            continue
        kept.append(candidate)
        learned = sum(sum(weight > 0 for weight in sequence.weights[1:]) for sequence in sequences)
        counts[candidate.example.id] = (sum(len(sequence.ids) for sequence in sequences), learned)
    too_long = ledger.of_fate("too_long")
    if too_long and data.over_length == "fail":
        listed = "\n".join(f"  {entry.source}, row {entry.row}: {entry.reason}" for entry in too_long[:10])
        raise DataError(f"{len(too_long)} examples are too long, and data.over_length is 'fail':\n{listed}")
    if not kept:
        fates = ", ".join(f"{count} {fate.replace('_', ' ')}" for fate, count in _fates(ledger).items())
        raise DataError(f"Nothing is left to learn from: {fates}.")
    return kept, counts


def _fates(ledger: Ledger) -> dict[Fate, int]:
    fates: tuple[Fate, ...] = ("broken", "duplicate", "disliked", "too_long", "nothing_to_learn")
    return {fate: len(ledger.of_fate(fate)) for fate in fates if ledger.of_fate(fate)}


def _verdict(example: Example, sequences: list[Rendered], data: DataSettings) -> tuple[Fate | None, str]:
    if not any(any(sequence.weights[1:]) for sequence in sequences):
        return "nothing_to_learn", "no token of it is learned"
    longest = max(len(sequence.ids) for sequence in sequences)
    if longest > data.max_tokens and not example.is_text:  # plain text is learned in windows
        return "too_long", f"{longest} tokens, and data.max_tokens is {data.max_tokens}"
    return None, ""


# Freezing --------------------------------------------------------------------------------------


class _Frozen(NamedTuple):
    """What a version holds besides its examples."""

    name: str
    origin: str
    sources: list[Source]
    entries: list[LedgerEntry]
    counts: Tokens


def _freeze(
    frozen: _Frozen, candidates: list[Candidate], sides: list[SplitName], store: Store
) -> DatasetVersion:
    by_side: dict[SplitName, list[Example]] = {side: [] for side in KEPT}
    for candidate, side in zip(candidates, sides, strict=True):
        by_side[side].append(candidate.example)
    splits = {side: _store_split(store, examples) for side, examples in by_side.items()}
    ledger_file = store.put(book.to_bytes(frozen.entries), "jsonl")
    tokens = {
        side: [sum(counts) for counts in zip((0, 0), *(frozen.counts[example.id] for example in examples), strict=True)]
        for side, examples in by_side.items()
    }
    return DatasetVersion(
        id=fingerprint_of([frozen.name, {side: part.fingerprint for side, part in splits.items()}, ledger_file]),
        name=frozen.name,
        created_at=datetime.now(UTC),
        prepared_from=frozen.origin,
        splits=splits,
        sources=tuple(frozen.sources),
        totals=book.totals(frozen.entries),
        ledger_file=ledger_file,
        tag_counts=_tag_counts(candidate.example for candidate in candidates),
        token_counts={side: counts[0] for side, counts in tokens.items()},
        learned_token_counts={side: counts[1] for side, counts in tokens.items()},
    )


def _store_split(store: Store, examples: list[Example]) -> Split:
    lines = [json.dumps(example.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for example in examples]
    table = arrow.table({"id": [example.id for example in examples], "example": arrow.array(lines, arrow.string())})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return Split(
        file=store.put(buffer.getvalue(), "parquet"),
        examples=len(examples),
        fingerprint=fingerprint_of(sorted(fingerprint_of(line) for line in lines)),
    )


def _tag_counts(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        for tag, value in example.tags.items():
            counts[tag][value] += 1
    return {tag: dict(values.most_common()) for tag, values in counts.items() if len(values) <= 50}
