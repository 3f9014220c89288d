"""Values are taken for what they must be, or refused by kind."""

from __future__ import annotations

import pytest

from sonneteer.data.values import DEEPEST, as_fields, as_json, as_list, as_name, as_text, depth_of, is_given, kind_of
from sonneteer.errors import DataError


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "nothing"), (True, "true or false"), (1.5, "a number"), ("", "text"), ((), "a list"), ({}, "an object")],
)
def test_kinds_are_said_in_words(value: object, words: str) -> None:
    assert kind_of(value).startswith(words)


def test_what_a_table_holds_as_json_is_taken_for_what_it_stands_for() -> None:
    assert as_list(' [1, "a"]', "it") == [1, "a"]
    assert as_fields('{"a": 1}', "it") == {"a": 1}


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "1" * 5000, "[" * 100_000])
def test_what_is_no_json_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(DataError, match="it cannot be read as JSON"):
        as_json(text, "it")


def test_empty_texts_and_other_kinds_are_refused() -> None:
    for value in (" ", None, 3, ["a"]):
        with pytest.raises(DataError, match="'x'"):
            as_text(value, "'x'")


def test_an_id_is_text_or_a_number() -> None:
    assert [as_name(value) for value in ("a", 7, None, "")] == ["a", "7", None, None]
    with pytest.raises(DataError, match="must be text, not true or false"):
        as_name(True)


def test_zero_and_false_say_something() -> None:
    assert [is_given(value) for value in (0, False)] == [True, True]
    assert [is_given(value) for value in ("", None, (), [])] == [False] * 4


def test_depth_counts_what_lies_within_each_other() -> None:
    assert [depth_of(value) for value in (1, [], [1, [2]], {"a": [{"b": 1}]})] == [0, 1, 2, 3]


def test_an_object_that_is_nested_too_deeply_is_refused() -> None:
    value: dict[str, object] = {}
    for _ in range(DEEPEST):
        value = {"a": value}
    with pytest.raises(DataError, match="nested more than"):
        as_fields(value, "it")
