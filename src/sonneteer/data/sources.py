"""Sources become candidates: read, recognised, renamed, tagged; what cannot be read goes to the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import PurePath
from typing import NamedTuple

from sonneteer.data import traffic
from sonneteer.data.candidates import Candidate, RowStep
from sonneteer.data.documents import passages_of
from sonneteer.data.examples import LABELS, TAGS, VERDICTS
from sonneteer.data.files import SourceFile
from sonneteer.data.hands import Hands
from sonneteer.data.ledger import Ledger
from sonneteer.data.locations import is_document
from sonneteer.data.read import Streamed, stream
from sonneteer.data.shapes import SHAPES, Finding, recognise, unused_fields
from sonneteer.data.values import Fields, RawRow
from sonneteer.data.ways import Done, Part, Way, renamed
from sonneteer.errors import DataError, RecipeError
from sonneteer.progress import Progress
from sonneteer.recipe.sections import DataSettings, PassageSettings, SourceSettings
from sonneteer.records import LedgerEntry, Source

LOOKED_AT = 1000
RECOGNISED_BY = 100
AT_ONCE = 2000
ALONE = Hands()
FIELDS = frozenset(
    {field for shape in SHAPES.values() for field in shape.fields}.union(TAGS, ("tags", "images", "image"))
)
"""All that some shape reads."""


class Gathered(NamedTuple):
    """All sources as they were found, and the candidates from their readable rows."""

    sources: list[Source]
    candidates: list[Candidate]


def gather(
    data: DataSettings,
    files: list[SourceFile],
    steps: Sequence[RowStep],
    ledger: Ledger,
    progress: Progress,
    hands: Hands = ALONE,
) -> Gathered:
    """Read all sources, and take each row through the steps.

    Raises DataError where more rows are broken than the settings allow.
    """
    reading = _Reading(data.sources, files, progress)
    candidates: list[Candidate] = []
    walked = 0
    for settings, rows in hands.spread(Way(steps, hands.kept).walk, reading.parts()):
        candidates.extend(_candidates(settings, rows, ledger))
        walked += len(rows)
        progress.update(walked, max(walked, reading.expected))
    for source in reading.sources:
        ledger.open(source.path, source.rows)
    _refuse_many_broken(data, ledger)
    return Gathered(reading.sources, candidates)


def _candidates(settings: SourceSettings, rows: Sequence[Done], ledger: Ledger) -> Iterator[Candidate]:
    """Those that are left of the rows. The others go to the ledger."""
    source, side = settings.path, settings.split
    for done in rows:
        ledger.remark(source, done.row, *done.remarks)
        if done.packed:
            yield Candidate(source, done.row, done.packed, None if side == "auto" else side)
        else:
            ledger.enter(LedgerEntry(source=source, row=done.row, fate=done.fate, reason=done.reason))


class _Reading:
    """The files, read part by part, and what was found in them."""

    def __init__(self, settings: Sequence[SourceSettings], files: list[SourceFile], progress: Progress) -> None:
        self._settings = settings
        self._files = files
        self._note = progress.note
        self._passages = 0
        self.sources: list[Source] = []
        self.expected = sum(map(_expected_rows, files))

    def parts(self) -> Iterator[Part]:
        """Some rows at a time, of one source after the other."""
        for place, settings in enumerate(self._settings):
            file = self._files.pop(0)
            streamed = _rows(file, settings)
            with closing(streamed.rows):
                yield from self._parts_of(place, settings, file, streamed)
        if documents := sum(map(is_document, self._settings)):
            self._note(f"Documents: {documents}; passages that they were cut into: {self._passages}.")

    def _parts_of(self, place: int, settings: SourceSettings, file: SourceFile, streamed: Streamed) -> Iterator[Part]:
        first = list(islice(streamed.rows, LOOKED_AT))
        _refuse_wrong_fields(first, settings, file.name)
        finding = _finding(settings, file.name, [renamed(row, settings) for row in first])
        count, rows = 0, chain(first, streamed.rows)
        while some := list(islice(rows, AT_ONCE)):
            name = f"{place}-{count}" if len(some) == AT_ONCE else ""
            count += len(some)
            self._passages += sum(row.fields is not None for row in some) if is_document(settings) else 0
            yield Part(settings, finding.shape, some, name)
        self.sources.append(_source(settings, file, finding.shape, count))
        unread = _unread(finding, [renamed(row, settings) for row in first], settings)
        encoding = "" if streamed.encoding in ("utf-8", "") else f" in {streamed.encoding}"
        if not is_document(settings):
            self._note(f"{settings.path}: {count} rows{encoding}, read as '{finding.shape}': {finding.why}.{unread}")


def _expected_rows(file: SourceFile) -> int:
    """About how many there are, for those who wait."""
    return file.lines if PurePath(file.name).suffix in (".jsonl", ".ndjson", ".csv", ".tsv") else 1


def _rows(file: SourceFile, settings: SourceSettings) -> Streamed:
    if not is_document(settings):
        return stream(file, settings.encoding)
    passages = settings.passages or PassageSettings()
    return Streamed(passages_of(file.name, settings.path, file.read(), settings.encoding, passages), "")


def _source(settings: SourceSettings, file: SourceFile, shape: str, rows: int) -> Source:
    return Source(path=settings.path, sha256=file.sha256, format=shape, rows=rows, licence=settings.licence)


def refuse_repeated(sources: Sequence[SourceSettings]) -> None:
    """The ledger knows a row by its file's name and its number, so a file is named once; and one is named."""
    if not sources:
        raise RecipeError("data.sources is empty. Name a file, a folder, a pattern, or whatever else holds examples.")
    paths = [settings.path for settings in sources]
    repeated = sorted({path for path in paths if paths.count(path) > 1})
    if repeated:
        raise RecipeError([f"data.sources: {path} is listed more than once. Remove it there." for path in repeated])


def refuse_unanswered(sources: Sequence[SourceSettings]) -> None:
    """Prompts alone teach nothing."""
    for settings in sources:
        if settings.format == "prompt":
            raise RecipeError(
                f"data.sources: {settings.path}: rows of the format 'prompt' have no answers to learn. Let a teacher "
                "write them: `synthesis.task: answers`, and name the file that it writes here."
            )


def _refuse_wrong_fields(first: Sequence[RawRow], settings: SourceSettings, file: str) -> None:
    """Raises RecipeError for names that no shape has, and for fields that none of the first rows has."""
    columns = {str(key) for row in first if row.fields for key in row.fields}
    listed = f"Its columns: {', '.join(column[:30] for column in sorted(columns)[:20])}."
    problems = [
        f"data.sources: fields.{name}: no shape reads a field of this name. {_nearest(name, FIELDS)}"
        for name in settings.fields
        if name not in FIELDS
    ]
    problems += [
        f"data.sources: fields.{name}: {file} has no field '{theirs}'. {_nearest(theirs, columns)}{listed}"
        for name, theirs in settings.fields.items()
        if theirs not in columns
    ]
    if problems and columns:
        raise RecipeError(problems)


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that comes nearest, whatever its case."""
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f"Did you mean '{by_lower[near[0]]}'? " if near else ""


def _finding(settings: SourceSettings, name: str, rows: list[RawRow]) -> Finding:
    if is_document(settings):
        return Finding("text", "a document, cut into passages")
    if settings.path.startswith(traffic.PREFIX):
        return Finding("exchange", "live answers that people judged")
    if settings.format in SHAPES:
        return Finding(settings.format, "the recipe says so")
    if settings.format != "auto":
        known = f"{_nearest(settings.format, SHAPES)}Known are auto, {', '.join(SHAPES)}."
        raise RecipeError(f"data.sources: {name}: '{settings.format}' is no known format. {known}")
    readable = _first_readable(rows)
    if not readable:
        listed = "\n".join(f"  row {row.number}: {row.problem}" for row in rows[:10])
        raise DataError(f"{name}: none of its rows can be read:\n{listed}")
    try:
        return recognise(readable)
    except DataError as problem:
        raise DataError(f"{name}: {problem}") from problem


def _first_readable(rows: list[RawRow]) -> list[Fields]:
    return [row.fields for row in rows if row.fields is not None][:RECOGNISED_BY]


def _unread(finding: Finding, rows: list[RawRow], settings: SourceSettings) -> str:
    unused = unused_fields(finding.shape, _first_readable(rows), (*TAGS, "tags", *settings.fields))
    named = ", ".join(name[:30] for name in unused[:8])
    if not unused:
        return ""
    hint = " To learn one as the answer: `fields: {prompt: text, completion: ...}`." if finding.shape == "text" else ""
    if judged := [name for name in LABELS if name in unused and _says_yes_or_no(name, rows)]:
        hint = f" If '{judged[0]}' says whether people liked the answer: `format: unpaired`."
    return f" Not used: {named}{', ...' if unused[8:] else ''}.{hint}"


def _says_yes_or_no(name: str, rows: Sequence[RawRow]) -> bool:
    said = {str(row.fields[name]) for row in rows if row.fields and name in row.fields}
    return said <= VERDICTS.keys()


def _refuse_many_broken(data: DataSettings, ledger: Ledger) -> None:
    broken = ledger.of_fate("broken")
    if len(broken) <= data.bad_rows_share * ledger.rows:
        return
    listed = "\n".join(f"  {entry.source}:{entry.row}: {entry.reason}" for entry in broken[:10])
    more = f"\n  and {len(broken) - 10} more" if len(broken) > 10 else ""
    raise DataError(
        f"{len(broken)} of {ledger.rows} rows cannot be read, more than data.bad_rows_share allows "
        f"({data.bad_rows_share:.0%}):\n{listed}{more}\nRepair or remove them, or allow a greater share."
    )
