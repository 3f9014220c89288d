"""Rows of tables: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO

import pyarrow.parquet as parquet
from pyarrow.lib import ArrowException

from sonneteer.data.values import RawRow
from sonneteer.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
LONGEST_CELL = 1 << 30
ROWS_AT_ONCE = 2000
NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What stands in a text for bytes that are no UTF-8 (surrogateescape)."""


def csv_rows(name: str, lines: Iterator[str], delimiter: str | None = None) -> Iterator[RawRow]:
    """Rows under a header. Each bears the number of its first line. An empty cell says nothing.

    A line with a quote in the wrong place, or with one that is never closed, is broken, and reading goes on after it.
    """
    csv.field_size_limit(LONGEST_CELL)
    first_line = next(lines, "")
    delimiter = delimiter or next((mark for mark in DELIMITERS if mark in first_line), ",")
    held = _Held(chain([first_line], lines))
    reader = csv.reader(held, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = held.begin()
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            is_open = "end of data" in str(problem)
            yield RawRow(line, None, f"the line is no CSV: {'a quote is never closed' if is_open else problem}")
            held.go_back()
            reader = csv.reader(held, delimiter=delimiter, strict=True)  # the other stands within a row
            continue
        if cells is None:
            return
        if header is None:
            header = _header(name, cells)
        elif any(cells):
            yield _table_row(line, header, cells)


class _Held(Iterator[str]):
    """Lines, of which those since the last beginning can be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._since: list[str] = []
        self._before = 0

    def __next__(self) -> str:
        line = next(self._lines)
        self._since.append(line)
        return line

    def begin(self) -> int:
        """The next line is a row's first one. Returns its number."""
        self._before += len(self._since)
        self._since = []
        return self._before + 1

    def go_back(self) -> None:
        """Back to the second line of the row."""
        self._lines = chain(self._since[1:], self._lines)
        del self._since[1:]


def _header(name: str, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if repeated := sorted({name[:30] for name in names if name and names.count(name) > 1}):
        raise DataError(f"{name}: the header has {', '.join(repeated)} more than once. Give every column its own name.")
    return names


def _table_row(line: int, header: list[str], cells: list[str]) -> RawRow:
    if len(cells) != len(header):
        return RawRow(line, None, f"the row has {len(cells)} cells, but the header has {len(header)}")
    if broken := next(filter(None, map(NO_UTF8.search, cells)), None):
        return RawRow(line, None, f"byte {ord(broken[0]) - 0xDC00:#04x} is no UTF-8")
    return RawRow(line, {name: cell for name, cell in zip(header, cells, strict=True) if name and cell})


def parquet_rows(name: str, stream: BinaryIO) -> Iterator[RawRow]:
    """Rows of a Parquet file, numbered from 1."""
    try:
        batches = parquet.ParquetFile(stream).iter_batches(ROWS_AT_ONCE)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, fields in enumerate(rows, 1):
            yield RawRow(number, _plain(fields))
    except (UnicodeDecodeError, OverflowError) as problem:
        raise DataError(f"{name} holds a value that is none: {problem.__class__.__name__}. Write it anew.") from problem
    except (ArrowException, OSError) as problem:
        raise DataError(f"{name} is no whole Parquet file: {str(problem).rstrip('.')}.") from problem


def _text(value: bytes) -> str | None:
    """A text that its writer did not call one; nothing where it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _plain(value: Any) -> Any:
    """As JSON would hold it. A column holds a field for every row, so one that says nothing is left out."""
    match value:
        case dict():
            plain = {key: _plain(field) for key, field in value.items()}
            return {key: field for key, field in plain.items() if field is not None}
        case [(_, _), *_] if all(isinstance(pair, tuple) for pair in value):
            return _plain(dict(value))  # a column of the type map
        case list():
            return [_plain(part) for part in value]
        case float() if math.isnan(value):
            return None
        case bytes():
            return _text(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
    return value
