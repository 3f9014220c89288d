"""Rows from files: JSON lines, JSON, CSV, TSV, Parquet and plain text, as they are or packed."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple

import pyarrow as arrow

from sonneteer.data.encodings import recoded
from sonneteer.data.files import BLOCK, SourceFile, flowing
from sonneteer.data.tables import csv_rows, parquet_rows
from sonneteer.data.values import RawRow, as_json, kind_of
from sonneteer.errors import DataError

Kind = Callable[[str, BinaryIO], Iterator[RawRow]]
"""How the rows of one kind of files are read."""
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def rows_of(file: SourceFile, encoding: str = "auto") -> list[RawRow]:
    """All rows of a file. Raises DataError for a file that is empty, or of an unknown kind or encoding."""
    return list(stream(file, encoding).rows)


class Streamed(NamedTuple):
    """The rows of a file, each read when it is asked for, and the encoding that they are read in."""

    rows: Generator[RawRow]
    encoding: str


def stream(file: SourceFile, encoding: str = "auto") -> Streamed:
    """The rows of a file, one after the other. Raises as `rows_of` does, some of it later."""
    name, path = file.name, PurePath(file.name)
    kind = file.kind or path.suffix.lower()
    packed = PACKED.get(kind)
    kind = path.with_suffix("").suffix.lower() if packed else kind
    if kind not in KINDS:
        named = f"'{kind}' files" if kind else "files whose name has no suffix"
        known = f"{', '.join(KINDS)}, each also with {', '.join(PACKED)}"
        raise DataError(f"{name}: {named} cannot be read. Known are {known}.")

    def opened() -> BinaryIO:
        return flowing(_unpacked(file, packed)) if packed else file.open()

    if kind == ".parquet":
        return Streamed(_all_of(file, partial(_with_ends, opened) if packed else opened, KINDS[kind]), "")
    text = recoded(name, opened, encoding)
    return Streamed(_all_of(file, text.opened, KINDS[kind]), text.encoding)


def _all_of(file: SourceFile, opened: Callable[[], BinaryIO], kind: Kind) -> Generator[RawRow]:
    """The rows, of which there is one at least, from a file that nobody changes meanwhile."""
    with opened() as stream:
        rows = kind(file.name, stream)
        row = next(rows, None)
        if row is None:
            raise DataError(f"{file.name} is empty: there is no row in it.")
        yield from chain([row], rows)
    file.check()


def _unpacked(file: SourceFile, packed: Packed) -> Generator[bytes]:
    try:
        with file.open() as stream, packed.open(stream) as unpacked:
            yield from iter(lambda: unpacked.read(BLOCK), b"")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as problem:
        raise DataError(f"{file.name} is no whole {packed.name} file: {problem}.") from problem


def _with_ends(opened: Callable[[], BinaryIO]) -> BinaryIO:
    """What was packed, as a file that can be read from its end, too."""
    with opened() as stream:
        return io.BytesIO(stream.read())


class Packed(NamedTuple):
    """A form in which files are packed."""

    name: str
    open: Callable[[BinaryIO], Any]


PACKED = {
    ".gz": Packed("gzip", lambda stream: gzip.GzipFile(fileobj=stream)),
    ".xz": Packed("xz", lzma.LZMAFile),
    ".zst": Packed("zst", lambda stream: arrow.CompressedInputStream(arrow.PythonFile(stream), "zstd")),
}


# Kinds of files --------------------------------------------------------------------------------


def _json_lines(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    # Only "\n" ends a line: str.splitlines would also cut at U+2028 and U+0085, which may stand inside a JSON text.
    for number, line in enumerate(stream, 1):
        try:
            text = line.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8")
            if text.strip():
                yield _row(number, as_json(text, "the line"), HALF_CHARACTER.search(text) is not None)
        except UnicodeDecodeError as problem:
            yield RawRow(number, None, f"byte {line[problem.start]:#04x} is no UTF-8")
        except DataError as problem:
            yield RawRow(number, None, str(problem))


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        byte = content[problem.start]
        raise DataError(
            f"{name}, line {line}: byte {byte:#04x} is no UTF-8. Save the file as UTF-8, or name its encoding."
        ) from problem


def _json(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    content = stream.read()
    text = _text(name, content)
    if not text.strip():
        return
    try:
        whole = as_json(text, "it")
    except DataError as problem:
        if not _is_object(text.lstrip().split("\n", 1)[0]):
            raise DataError(f"{name} cannot be read: {problem}.") from problem
        yield from _json_lines(name, io.BytesIO(content))  # JSON lines under another name
        return
    may_be_halved = HALF_CHARACTER.search(text) is not None
    for number, value in enumerate(_listed(name, whole), 1):
        yield _row(number, value, may_be_halved)


def _listed(name: str, whole: Any) -> list[Any]:
    """The rows of a JSON document: a list, an object that holds one list of objects, or a single row."""
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        is_wrapped = len(lists) == 1 and len(whole) == 1
        return list(lists[0]) if is_wrapped and "messages" not in whole else [whole]
    if not isinstance(whole, list):
        raise DataError(f"{name} must hold a list of rows, not {kind_of(whole)}.")
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


def _csv(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    return csv_rows(name, _lines(stream))


def _tsv(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    return csv_rows(name, _lines(stream), "\t")


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Lines with their ends. A byte that is no UTF-8 becomes half a character, so that its row alone is refused."""
    for number, line in enumerate(stream):
        text = line.decode("utf-8", "surrogateescape").removeprefix("" if number else "\ufeff")
        if "\r" in text:
            yield from io.StringIO(text, newline="")
        else:
            yield text


def _plain_text(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    content = stream.read()
    text = _text(name, content)
    if _is_object(text.lstrip().split("\n", 1)[0]):
        yield from _json_lines(name, io.BytesIO(content))  # under another name
    elif text.strip():
        yield RawRow(1, {"text": text})


KINDS: dict[str, Kind] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": parquet_rows,
    ".txt": _plain_text,
}
