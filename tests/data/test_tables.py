"""Tables give the same rows as JSON lines would."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data import tables
from sonneteer.data.shapes import SHAPES
from sonneteer.data.tables import parquet_rows
from sonneteer.data.values import RawRow
from sonneteer.errors import DataError
from sonneteer.records import Example

HERE = "x.csv"
MESSAGES = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "Yes."}]


def csv_rows(name: str, text: str) -> Iterator[RawRow]:
    return tables.csv_rows(name, io.StringIO(text, newline=""))


def parquet_of(columns: dict[str, Any]) -> list[RawRow]:
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    return list(parquet_rows("x.parquet", buffer))


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
@settings(deadline=None, max_examples=80)
def test_any_text_in_a_cell_is_read_back(pairs: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("prompt", "completion"), *pairs])
    rows = list(csv_rows(HERE, stream.getvalue()))
    assert [row.fields for row in rows] == [{"prompt": asked, "completion": said} for asked, said in pairs]


def test_a_row_bears_the_number_of_its_first_line() -> None:
    rows = list(csv_rows(HERE, 'a,b\n"1\n1",2\n\n3,4\n'))
    assert rows == [RawRow(2, {"a": "1\n1", "b": "2"}), RawRow(5, {"a": "3", "b": "4"})]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_header_shows_what_divides_the_cells(mark: str) -> None:
    assert list(csv_rows(HERE, f"a{mark}b\nx y{mark}z\n")) == [RawRow(2, {"a": "x y", "b": "z"})]


def test_true_and_numbers_stay_the_text_that_they_are() -> None:
    assert list(csv_rows(HERE, "a,b,c\nTrue,1,[x]\n")) == [RawRow(2, {"a": "True", "b": "1", "c": "[x]"})]


def test_empty_cells_and_columns_without_a_name_say_nothing() -> None:
    assert list(csv_rows(HERE, ",a,b\n0,x,\n")) == [RawRow(2, {"a": "x"})]


def test_a_line_with_too_few_cells_is_broken_and_the_rest_is_read() -> None:
    broken, after = csv_rows(HERE, "a,b\n1\n3,4\n")
    assert broken == RawRow(2, None, "the row has 1 cells, but the header has 2")
    assert after.fields == {"a": "3", "b": "4"}


def test_a_line_with_stray_quotes_is_broken_and_the_rest_is_read() -> None:
    broken, after = csv_rows(HERE, 'a,b\n"1"1,2\n3,4\n')
    assert (broken.number, broken.fields) == (2, None)
    assert after == RawRow(3, {"a": "3", "b": "4"})


def test_a_quote_that_never_closes_breaks_its_line_alone() -> None:
    broken = RawRow(3, None, "the line is no CSV: a quote is never closed")
    rows = [RawRow(2, {"a": "1", "b": "2"}), broken, RawRow(4, {"a": "5", "b": "6"})]
    assert list(csv_rows(HERE, 'a,b\n1,2\n"3,4\n5,6\n')) == rows


def test_rows_that_an_open_quote_swallows_are_read_all_the_same() -> None:
    rows = list(csv_rows(HERE, 'a,b\n"1,2\n3,4\n5,"x\ny"\n7,8\n'))
    assert [row.number for row in rows] == [2, 3, 4, 6]
    assert [row.fields and row.fields["b"] for row in rows] == [None, "4", "x\ny", "8"]


def test_text_in_a_column_of_bytes_is_text() -> None:
    rows = parquet_of({"prompt": [b"caf\xc3\xa9"], "picture": [b"\x89PNG\xff"]})
    assert rows == [RawRow(1, {"prompt": "café"})]


def test_a_column_name_given_twice_is_refused() -> None:
    with pytest.raises(DataError, match="the header has a more than once"):
        list(csv_rows(HERE, "a,b,a\n1,2,3\n"))


def test_parquet_gives_rows_as_json_would_hold_them() -> None:
    rows = parquet_of(
        {
            "text": ["a", "b"],
            "time": [datetime(2026, 3, 1), None],
            "price": [Decimal("1.5"), None],
            "score": [float("nan"), 2.0],
            "tags": arrow.array([[("topic", "x")], None], arrow.map_(arrow.string(), arrow.string())),
        }
    )
    assert rows == [
        RawRow(1, {"text": "a", "time": "2026-03-01T00:00:00", "price": 1.5, "tags": {"topic": "x"}}),
        RawRow(2, {"text": "b", "score": 2.0}),
    ]


def test_fields_that_other_messages_have_are_not_there_in_a_message_without_them() -> None:
    called = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    rows = parquet_of({"messages": [[MESSAGES[0], called, {**MESSAGES[1], "weight": 0}]]})
    fields = rows[0].fields
    assert fields is not None
    assert [set(message) for message in fields["messages"]] == [
        {"role", "content"},
        {"role", "tool_calls"},
        {"role", "content", "weight"},
    ]


def test_a_conversation_reads_the_same_from_every_kind_of_file() -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows(
        [("messages",), ('[{"role":"user","content":"Hm?"},{"role":"assistant","content":"Yes."}]',)]
    )
    rows = [
        *csv_rows(HERE, stream.getvalue()),
        *parquet_of({"messages": [MESSAGES]}),
        RawRow(1, {"messages": MESSAGES}),
    ]
    examples: list[Example] = [SHAPES["chat"].read(row.fields or {}) for row in rows]
    assert examples[0] == examples[1] == examples[2]
