"""Sources become candidates: read, recognised, renamed, tagged; what cannot be read goes to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from sonneteer.data.candidates import Candidate, Passed, RowStep, passed_through
from sonneteer.data.documents import passages_of
from sonneteer.data.ledger import Ledger
from sonneteer.data.locations import is_document
from sonneteer.data.read import SourceFile, Streamed, stream
from sonneteer.data.shapes import SHAPES, Finding, recognise, unused_fields
from sonneteer.data.values import Fields, RawRow
from sonneteer.errors import DataError, RecipeError
from sonneteer.recipe.sections import DataSettings, PassageSettings, SourceSettings
from sonneteer.records import Example, LedgerEntry, Source, fingerprint_of

TAGS = ("person", "conversation", "document", "topic", "group", "source", "time")
LOOKED_AT = 1000
RECOGNISED_BY = 100
LONGEST_TAG = 100

Note = Callable[[str], None]


class Gathered(NamedTuple):
    """All sources as they were found, and the candidates from their readable rows."""

    sources: list[Source]
    candidates: list[Candidate]


def gather(
    data: DataSettings, files: list[SourceFile], steps: Sequence[RowStep], ledger: Ledger, note: Note
) -> Gathered:
    """Read all sources, and take each example through the steps. Each file is let go when it is read.

    Raises DataError where more rows are broken than the settings allow.
    """
    gathered = Gathered([], [])
    for settings in data.sources:
        file = files.pop(0)
        streamed = _rows(file, settings)
        first = list(islice(streamed.rows, LOOKED_AT))
        _refuse_missing_fields(first, settings, file.path)
        finding = _finding(settings, file.path, [_renamed(row, settings) for row in first])
        rows = _Counted(chain(first, streamed.rows))
        gathered.candidates.extend(_Way(settings, finding.shape, steps).candidates(rows, ledger))
        ledger.open(settings.path, rows.count)
        gathered.sources.append(_source(settings, file, finding.shape, rows.count))
        unread = _unread(finding, [_renamed(row, settings) for row in first], settings)
        encoding = "" if streamed.encoding in ("utf-8", "") else f" in {streamed.encoding}"
        note(f"{settings.path}: {rows.count} rows{encoding}, read as '{finding.shape}': {finding.why}.{unread}")
    _refuse_many_broken(data, ledger)
    return gathered


def _rows(file: SourceFile, settings: SourceSettings) -> Streamed:
    if not is_document(settings):
        return stream(file, settings.encoding)
    passages = settings.passages or PassageSettings()
    return Streamed(passages_of(file.path, settings.path, file.content, settings.encoding, passages), "")


class _Counted:
    """Rows that are counted while they pass."""

    def __init__(self, rows: Iterable[RawRow]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[RawRow]:
        for row in self._rows:
            self.count += 1
            yield row


def _source(settings: SourceSettings, file: SourceFile, shape: str, rows: int) -> Source:
    return Source(path=settings.path, sha256=file.sha256, format=shape, rows=rows, licence=settings.licence)


def refuse_repeated(sources: Sequence[SourceSettings]) -> None:
    """The ledger knows a row by its file's name and its number, so a file is named once."""
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


def _refuse_missing_fields(first: Sequence[RawRow], settings: SourceSettings, path: Path) -> None:
    """Raises RecipeError for a field that none of the first rows has, with the name that comes nearest."""
    columns = {key for row in first if row.fields for key in row.fields}
    for name, theirs in settings.fields.items():
        if theirs not in columns:
            near = get_close_matches(theirs, columns, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            named = f"Its columns: {', '.join(str(column)[:30] for column in sorted(columns)[:20])}."
            raise RecipeError(f"data.sources: fields.{name}: {path} has no field '{theirs}'. {hint}{named}")


def _renamed(row: RawRow, settings: SourceSettings) -> RawRow:
    """The same row with its fields under the names that the shapes use."""
    if not settings.fields or row.fields is None:
        return row
    return row._replace(fields=_under_our_names(row.fields, settings))


def _under_our_names(fields: Fields, settings: SourceSettings) -> Fields:
    theirs = set(settings.fields.values())
    kept = {key: value for key, value in fields.items() if key not in theirs}
    return kept | {ours: fields[their] for ours, their in settings.fields.items() if their in fields}


def _finding(settings: SourceSettings, path: Path, rows: list[RawRow]) -> Finding:
    if is_document(settings):
        return Finding("text", "a document, cut into passages")
    if settings.format in SHAPES:
        return Finding(settings.format, "the recipe says so")
    if settings.format != "auto":
        near = get_close_matches(settings.format, SHAPES, n=1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        known = f"Known are auto, {', '.join(SHAPES)}."
        raise RecipeError(f"data.sources: {path.name}: '{settings.format}' is no known format. {hint}{known}")
    readable = _first_readable(rows)
    if not readable:
        listed = "\n".join(f"  {path.name}:{row.number}: {row.problem}" for row in rows[:10])
        raise DataError(f"{path}: not one of its {len(rows)} rows can be read:\n{listed}")
    try:
        return recognise(readable)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem


def _first_readable(rows: list[RawRow]) -> list[Fields]:
    return [row.fields for row in rows if row.fields is not None][:RECOGNISED_BY]


def _unread(finding: Finding, rows: list[RawRow], settings: SourceSettings) -> str:
    unused = unused_fields(finding.shape, _first_readable(rows), (*TAGS, "tags", *settings.fields))
    named = ", ".join(name[:30] for name in unused[:8])
    if not unused:
        return ""
    hint = " To learn one as the answer: `fields: {prompt: text, completion: ...}`." if finding.shape == "text" else ""
    return f" Not used: {named}{', ...' if unused[8:] else ''}.{hint}"


class _Way(NamedTuple):
    """How the rows of one source become candidates."""

    settings: SourceSettings
    shape: str
    steps: Sequence[RowStep]

    def candidates(self, rows: Iterable[RawRow], ledger: Ledger) -> Iterator[Candidate]:
        """Those that are left of the rows. The others go to the ledger."""
        source, side = self.settings.path, self.settings.split
        for row in rows:
            try:
                example, remarks, reason, fate = passed_through(self.steps, self._example(_renamed(row, self.settings)))
            except DataError as problem:
                example, remarks, reason, fate = Passed(None, (), str(problem), "broken")
            ledger.remark(source, row.number, *remarks)
            if example is None:
                ledger.enter(LedgerEntry(source=source, row=row.number, fate=fate, reason=reason))
            else:
                yield Candidate(source, row.number, example, None if side == "auto" else side)

    def _example(self, row: RawRow) -> Example:
        if row.fields is None:
            raise DataError(row.problem)
        example = SHAPES[self.shape].read(row.fields)
        return example.model_copy(update={"tags": _tags(row.fields, self.settings)})


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
