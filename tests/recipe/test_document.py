"""YAML 1.2, with the place of every value, and syntax errors in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.errors import RecipeError
from sonneteer.recipe.document import parse


def read(text: str) -> object:
    return parse(text, "recipe.yaml").value


def complaint(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse(text, "recipe.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("''", ""),
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("'3e-4'", "3e-4"),
        ("!!str 5", "5"),
        (">-\n  two\n  lines", "two lines"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


def test_infinity_and_not_a_number_are_numbers() -> None:
    assert read("[.inf, -.INF]") == [math.inf, -math.inf]
    assert math.isnan(read("[.nan]")[0])  # type: ignore[index]


def test_the_directive_of_an_older_yaml_changes_nothing() -> None:
    assert read("%YAML 1.1\n---\na: no") == {"a": "no"}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read_back(number: float) -> None:
    assert read(repr(number)) == number


def test_every_part_knows_its_line() -> None:
    node = parse("a: 1\nb:\n  - x\n  - c: 2\n", "recipe.yaml")
    assert str(node.place_of(["b", 1, "c"])) == "recipe.yaml, line 4"
    assert str(node.place_of(["b", 0])) == "recipe.yaml, line 3"


def test_a_part_that_is_not_written_lies_where_the_part_above_it_does() -> None:
    node = parse("a: 1\nb:\n  c: 2\n", "recipe.yaml")
    assert str(node.place_of(["b", "missing"])) == "recipe.yaml, line 2"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a: 1\nb: c: d", "line 2, column 5", "indented"),
        ("a:\n\tb: 1", "line 2, column 1", "tab"),
        ("a: [1, 2", "line 1, column 9", "']'"),
        ("a: {b: 1", "line 1, column 9", "'}'"),
        ("a: 'x", "line 1, column 6", "quote"),
        ("a: @x", "line 1, column 4", "quotes"),
        ("a: *x", "line 1, column 4", "'*'"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "one document"),
    ],
)
def test_a_syntax_error_is_told_in_words_with_line_and_column(text: str, place: str, hint: str) -> None:
    said = complaint(text)
    assert said.startswith(f"recipe.yaml, {place}: ")
    assert hint in said


def test_all_problems_of_the_structure_are_told_at_once() -> None:
    said = complaint("a: 1\na: 2\n? [b]\n: 3\nc: !!python/object:os.system x\nd: &d {e: *d}\n")
    assert "line 2: 'a' stands here a second time (first: recipe.yaml, line 1)" in said
    assert "line 3: a setting's name must be a word" in said
    assert "line 5: 'tag:yaml.org,2002:python/object:os.system' is a YAML tag" in said
    assert "line 6: this part of the recipe contains itself" in said


def test_a_control_character_is_named_by_its_line() -> None:
    assert complaint("a: 1\nb: \x01") == (
        "recipe.yaml, line 2: holds a character that no text file should have. Remove it."
    )


def test_an_anchor_can_be_used_twice() -> None:
    assert read("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


def test_many_anchors_of_anchors_do_not_take_for_ever() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert isinstance(read("\n".join(lines)), dict)
