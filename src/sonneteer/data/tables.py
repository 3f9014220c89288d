"""Rows of tables: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
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


def csv_rows(path: Path, lines: Iterator[str], delimiter: str | None = None) -> Iterator[RawRow]:
    """Rows under a header. Each bears the number of its first line. An empty cell says nothing."""
    csv.field_size_limit(LONGEST_CELL)
    first_line = next(lines, "")
    delimiter = delimiter or next((mark for mark in DELIMITERS if mark in first_line), ",")
    reader = csv.reader(chain([first_line], lines), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            if "end of data" in str(problem):
                raise DataError(f"{path}, line {line}: a quote is opened and never closed. Close it.") from problem
            yield RawRow(line, None, f"the line is no CSV: {problem}")
            continue
        if cells is None:
            return
        if header is None:
            header = _header(path, cells)
        elif any(cells):
            yield _table_row(line, header, cells)


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if repeated := sorted({name[:30] for name in names if name and names.count(name) > 1}):
        raise DataError(f"{path}: the header has {', '.join(repeated)} more than once. Give every column its own name.")
    return names


def _table_row(line: int, header: list[str], cells: list[str]) -> RawRow:
    if len(cells) != len(header):
        return RawRow(line, None, f"the row has {len(cells)} cells, but the header has {len(header)}")
    if broken := next(filter(None, map(NO_UTF8.search, cells)), None):
        return RawRow(line, None, f"byte {ord(broken[0]) - 0xDC00:#04x} is no UTF-8")
    return RawRow(line, {name: cell for name, cell in zip(header, cells, strict=True) if name and cell})


def parquet_rows(path: Path, stream: BinaryIO) -> Iterator[RawRow]:
    """Rows of a Parquet file, numbered from 1."""
    try:
        batches = parquet.ParquetFile(stream).iter_batches(ROWS_AT_ONCE)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, fields in enumerate(rows, 1):
            yield RawRow(number, _plain(fields))
    except (UnicodeDecodeError, OverflowError) as problem:
        raise DataError(f"{path} holds a value that is none: {problem.__class__.__name__}. Write it anew.") from problem
    except (ArrowException, OSError) as problem:
        raise DataError(f"{path} is no whole Parquet file: {problem}.") from problem


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
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
    return value
