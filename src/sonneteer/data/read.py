"""Rows from files: JSON lines, JSON, CSV, TSV and Parquet, plain or packed with gzip."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as parquet
from pyarrow.lib import ArrowException

from sonneteer.errors import DataError


class RawRow(NamedTuple):
    """One source row: its number, and its fields or the reason why it cannot be read."""

    number: int
    fields: dict[str, Any] | None
    problem: str = ""


class RawFile(NamedTuple):
    """A source file as it was read."""

    sha256: str
    rows: list[RawRow]


def read_file(path: Path) -> RawFile:
    """All rows of a file. Raises DataError for a file that is missing, empty, of an unknown kind or encoding."""
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix == ".gz":
        content = _unpacked(path, content)
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    match kind.lower():
        case ".jsonl" | ".ndjson":
            rows = list(_json_lines(_text(path, content)))
        case ".json":
            rows = list(_json(path, _text(path, content)))
        case ".csv" | ".tsv":
            rows = list(_table(_text(path, content), "\t" if kind.lower() == ".tsv" else ","))
        case ".parquet":
            rows = list(_parquet(path, content))
        case ".txt":
            rows = [RawRow(1, {"text": _text(path, content)})]
        case _:
            raise DataError(f"{path}: '{kind}' files cannot be read. Use .jsonl, .json, .csv, .tsv, .parquet or .txt.")
    if not rows:
        raise DataError(f"{path} is empty: there is nothing to learn in it.")
    return RawFile(digest, rows)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as problem:
        names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"The folder {path.parent} holds: {', '.join(names[:8]) or 'nothing'}."
        raise DataError(f"{path} does not exist. {hint}") from problem
    except IsADirectoryError as problem:
        raise DataError(f"{path} is a folder; name the files in it.") from problem
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as problem:
        raise DataError(f"{path} is no whole gzip file: {problem}.") from problem


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: this is not UTF-8 (byte {content[problem.start]:#04x}). Save the file as UTF-8."
        ) from problem


def _json_lines(text: str) -> Iterator[RawRow]:
    # Only "\n" ends a line: str.splitlines would also cut at U+2028, which may stand inside a JSON text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _row(number, json.loads(line))
        except ValueError as problem:
            yield RawRow(number, None, f"the line is no JSON: {_where(problem)}")
        except RecursionError:
            yield RawRow(number, None, "the line is nested too deeply")


def _json(path: Path, text: str) -> Iterator[RawRow]:
    if not text.strip():
        return
    try:
        content = json.loads(text)
    except ValueError as problem:
        try:
            first = json.loads(text.split("\n", 1)[0])
        except ValueError:
            raise DataError(f"{path} is no JSON: {problem}") from problem
        if isinstance(first, dict):  # JSON lines under another name
            yield from _json_lines(text)
            return
        raise DataError(f"{path} is no JSON: {problem}") from problem
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        content = lists[0] if len(lists) == 1 and "messages" not in content else [content]
    if not isinstance(content, list):
        raise DataError(f"{path} must hold a list of rows, not {type(content).__name__}.")
    for number, value in enumerate(content, 1):
        yield _row(number, value)


def _table(text: str, delimiter: str) -> Iterator[RawRow]:
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        before = reader.line_num
        for cells in reader:
            number, before = before + 1, reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                yield RawRow(number, None, f"the row has {len(cells)} cells, the header {len(header)}")
                continue
            yield RawRow(number, {name: _cell(cell) for name, cell in zip(header, cells, strict=True) if cell != ""})
    except csv.Error as problem:
        yield RawRow(reader.line_num, None, f"the line is no CSV, and nothing after it can be read: {problem}")


def _cell(cell: str) -> Any:
    """Lists and objects are written as JSON into a cell; everything else is text, but true and false."""
    if cell[:1] in "[{":
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return {"true": True, "false": False, "True": True, "False": False}.get(cell, cell)


def _parquet(path: Path, content: bytes) -> Iterator[RawRow]:
    try:
        table = parquet.read_table(io.BytesIO(content))
    except (ArrowException, OSError) as problem:
        raise DataError(f"{path} is no Parquet file: {problem}.") from problem
    for number, fields in enumerate(table.to_pylist(), 1):
        yield RawRow(number, {key: value for key, value in fields.items() if value is not None})


def _row(number: int, value: Any) -> RawRow:
    if not isinstance(value, dict):
        return RawRow(number, None, f"the row is {type(value).__name__}, but must be an object with named fields")
    return RawRow(number, {key: field for key, field in value.items() if field is not None})


def _where(problem: ValueError) -> str:
    """What the JSON reader says, without the text that it stumbled over."""
    return str(problem).split(": line")[0] + (f" (column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else "")
