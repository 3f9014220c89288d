"""Rows from files: JSON lines, JSON, CSV, TSV, Parquet and plain text, as they are or packed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as arrow

from sonneteer.data.encodings import recoded
from sonneteer.data.tables import csv_rows, parquet_rows
from sonneteer.data.values import RawRow, as_json, kind_of
from sonneteer.errors import DataError

HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


class SourceFile(NamedTuple):
    """A file as it was at one moment."""

    path: Path
    content: bytes
    sha256: str
    kind: str = ""
    """The suffix that says how to read it, where its name does not."""


def load(path: Path) -> SourceFile:
    """A file's content. Raises DataError where there is none, with the name that comes nearest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as problem:
        raise DataError(f"{path} does not exist. {_nearest(path)}") from problem
    except IsADirectoryError as problem:
        raise DataError(f"{path} is a folder. Name the files in it.") from problem
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem
    return SourceFile(path, content, hashlib.sha256(content).hexdigest())


def rows_of(file: SourceFile, encoding: str = "auto") -> list[RawRow]:
    """All rows of a file. Raises DataError for a file that is empty, or of an unknown kind or encoding."""
    return list(stream(file, encoding).rows)


class Streamed(NamedTuple):
    """The rows of a file, each read when it is asked for, and the encoding that they are read in."""

    rows: Iterator[RawRow]
    encoding: str


def stream(file: SourceFile, encoding: str = "auto") -> Streamed:
    """The rows of a file, one after the other. Raises as `rows_of` does, some of it later."""
    path, content = file.path, file.content
    kind = file.kind or path.suffix.lower()
    if kind in PACKED:
        content, kind = _unpacked(path, kind, content), path.with_suffix("").suffix.lower()
    if kind not in KINDS:
        listed = ", ".join(PACKED)
        raise DataError(
            f"{path}: '{kind}' files cannot be read. Known are {', '.join(KINDS)}, each also with {listed}."
        )
    if kind == ".parquet":
        return Streamed(_not_empty(path, KINDS[kind](path, content)), "")
    text = recoded(path, content, encoding)
    return Streamed(_not_empty(path, KINDS[kind](path, text.content)), text.encoding)


def _not_empty(path: Path, rows: Iterator[RawRow]) -> Iterator[RawRow]:
    row = next(rows, None)
    if row is None:
        raise DataError(f"{path} is empty: there is no row in it.")
    while row is not None:
        yield row
        row = next(rows, None)


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either."
    names = sorted(file.name for file in path.parent.iterdir())
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"The folder {path.parent} holds: {', '.join(names[:8]) or 'nothing'}."


def _unpacked(path: Path, kind: str, content: bytes) -> bytes:
    try:
        return PACKED[kind](content)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as problem:
        raise DataError(f"{path} is no whole {kind[1:].replace('gz', 'gzip')} file: {problem}.") from problem


def _zstandard(content: bytes) -> bytes:
    with arrow.input_stream(arrow.py_buffer(content), compression="zstd") as packed:
        return bytes(packed.read())


PACKED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress, ".zst": _zstandard}


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        byte = content[problem.start]
        raise DataError(
            f"{path}, line {line}: byte {byte:#04x} is no UTF-8. Save the file as UTF-8, or name its encoding."
        ) from problem


# Kinds of files --------------------------------------------------------------------------------


def _json_lines(path: Path, content: bytes) -> Iterator[RawRow]:
    # Only "\n" ends a line: str.splitlines would also cut at U+2028 and U+0085, which may stand inside a JSON text.
    for number, line in enumerate(io.BytesIO(content.removeprefix(codecs.BOM_UTF8)), 1):
        try:
            text = line.rstrip(b"\r\n").decode()
            if text.strip():
                yield _row(number, as_json(text, "the line"), HALF_CHARACTER.search(text) is not None)
        except UnicodeDecodeError as problem:
            yield RawRow(number, None, f"byte {line[problem.start]:#04x} is no UTF-8")
        except DataError as problem:
            yield RawRow(number, None, str(problem))


def _json(path: Path, content: bytes) -> Iterator[RawRow]:
    text = _text(path, content)
    if not text.strip():
        return
    try:
        whole = as_json(text, "it")
    except DataError as problem:
        if not _is_object(text.lstrip().split("\n", 1)[0]):
            raise DataError(f"{path} cannot be read: {problem}.") from problem
        yield from _json_lines(path, content)  # JSON lines under another name
        return
    may_be_halved = HALF_CHARACTER.search(text) is not None
    for number, value in enumerate(_listed(path, whole), 1):
        yield _row(number, value, may_be_halved)


def _listed(path: Path, whole: Any) -> list[Any]:
    """The rows of a JSON document: a list, an object that holds one list of objects, or a single row."""
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        is_wrapped = len(lists) == 1 and len(whole) == 1
        return list(lists[0]) if is_wrapped and "messages" not in whole else [whole]
    if not isinstance(whole, list):
        raise DataError(f"{path} must hold a list of rows, not {kind_of(whole)}.")
    return whole


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _row(number: int, value: Any, may_be_halved: bool) -> RawRow:
    if not isinstance(value, dict):
        return RawRow(number, None, f"the row must be an object with named fields, not {kind_of(value)}")
    if may_be_halved and not _is_unicode(value):
        return RawRow(number, None, "the row holds half of a character (a lone surrogate)")
    return RawRow(number, {key: field for key, field in value.items() if field is not None})


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _csv(path: Path, content: bytes) -> Iterator[RawRow]:
    return csv_rows(path, _text(path, content))


def _tsv(path: Path, content: bytes) -> Iterator[RawRow]:
    return csv_rows(path, _text(path, content), "\t")


def _plain_text(path: Path, content: bytes) -> Iterator[RawRow]:
    text = _text(path, content)
    if text.strip():
        yield RawRow(1, {"text": text})


KINDS: dict[str, Callable[[Path, bytes], Iterator[RawRow]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": parquet_rows,
    ".txt": _plain_text,
}
