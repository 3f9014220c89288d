"""No group crosses, the shares are met, and the order of the rows does not matter."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data.split import groups, split
from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Example, Message


def example(asked: str, said: str = "Yes.", **tags: str) -> Example:
    return Example(messages=(Message(role="user", text=asked), Message(role="assistant", text=said)), tags=tags)


def text(words: str) -> Example:
    return Example(messages=(Message(role="assistant", text=words),), is_text=True)


def settings_of(validation: float = 0.1, test: float = 0.15) -> DataSettings:
    return DataSettings(sources=(), validation_share=validation, test_share=test)


persons = st.one_of(st.none(), st.sampled_from("abcdef"))
crowds = st.lists(st.tuples(st.integers(0, 30), persons, persons), min_size=12, max_size=60, unique_by=lambda t: t[0])


def crowd_of(drawn: list[tuple[int, str | None, str | None]]) -> list[Example]:
    """Examples of which some share a person, a conversation or the question."""
    return [
        example(
            f"question {number // 2}",
            f"answer {number}",
            **{tag: value for tag, value in (("person", person), ("conversation", talk)) if value},
        )
        for number, person, talk in drawn
    ]


@given(drawn=crowds, seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_no_group_is_on_two_sides(drawn: list[tuple[int, str | None, str | None]], seed: int) -> None:
    examples = crowd_of(drawn)
    try:
        sides = split(examples, settings_of(), seed)
    except DataError:
        assert len(set(groups(examples, ("person", "conversation", "document")))) < 3
        return
    for one, one_side in zip(examples, sides, strict=True):
        for other, other_side in zip(examples, sides, strict=True):
            shares_a_tag = any(one.tags.get(tag) == value for tag, value in other.tags.items())
            if shares_a_tag or one.prompt == other.prompt:
                assert one_side == other_side
    assert set(sides) == {"train", "validation", "test"}


@given(drawn=crowds, order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_rows_does_not_matter(
    drawn: list[tuple[int, str | None, str | None]], order: random.Random
) -> None:
    examples = crowd_of(drawn)
    shuffled = order.sample(examples, len(examples))
    try:
        sides = split(examples, settings_of(), seed=0)
    except DataError:
        return
    expected = {one.id: side for one, side in zip(examples, sides, strict=True)}
    assert [expected[one.id] for one in shuffled] == split(shuffled, settings_of(), seed=0)


@given(count=st.integers(3, 200), validation=st.floats(0.01, 0.4), test=st.floats(0.01, 0.4), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_single_examples_meet_the_shares_to_the_nearest_one(
    count: int, validation: float, test: float, seed: int
) -> None:
    sides = Counter(split([example(f"q{i}") for i in range(count)], settings_of(validation, test), seed))
    assert sides["train"] >= 1
    if sides["train"] > 1:  # else the others gave up what they could
        assert abs(sides["test"] - max(1, test * count)) <= 0.5 + 1e-9
        assert abs(sides["validation"] - max(1, validation * count)) <= 0.5 + 1e-9


def test_a_giant_group_does_not_end_up_in_the_test() -> None:
    examples = [example(f"q{i}", person="giant") for i in range(80)] + [example(f"r{i}") for i in range(20)]
    for seed in range(20):
        sides = split(examples, settings_of(), seed)
        assert set(sides[:80]) == {"train"}
        assert Counter(sides) == {"train": 80, "test": 15, "validation": 5}


def test_another_seed_gives_another_split() -> None:
    examples = [example(f"q{i}") for i in range(60)]
    assert split(examples, settings_of(), 0) == split(examples, settings_of(), 0)
    assert split(examples, settings_of(), 0) != split(examples, settings_of(), 1)


def test_a_new_example_hardly_moves_the_others() -> None:
    examples = [example(f"q{i}") for i in range(200)]
    before = split(examples, settings_of(), 0)
    after = split([example("new"), *examples], settings_of(), 0)[1:]
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 4


def test_equal_values_of_different_tags_do_not_bind() -> None:
    examples = [example("a", person="7"), example("b", conversation="7"), example("c", person="7")]
    first, second, third = groups(examples, ("person", "conversation"))
    assert first == third != second


def test_tags_that_are_not_kept_together_do_not_bind() -> None:
    assert len(set(groups([example("a", topic="x"), example("b", topic="x")], ("person",)))) == 2


def test_bonds_reach_over_several_examples() -> None:
    chain = [example("a", person="1"), example("b", person="1", document="x"), example("c", document="x"), example("c")]
    assert len(set(groups(chain, ("person", "document")))) == 1


def test_the_same_text_twice_is_one_group_and_other_texts_are_none() -> None:
    assert len(set(groups([text("a"), text("b"), text("a")], ()))) == 2


@pytest.mark.parametrize("share", ["validation", "test"])
def test_a_side_without_a_share_stays_empty(share: str) -> None:
    shares = {"validation": 0.2, "test": 0.2} | {share: 0.0}
    sides = split([example(f"q{i}") for i in range(10)], settings_of(**shares), 0)
    assert share not in sides
    assert Counter(sides)["train"] == 8


def test_too_few_groups_are_refused_with_what_to_do() -> None:
    examples = [example(f"q{i}", person="one" if i else "two") for i in range(9)]
    with pytest.raises(
        DataError, match=r"9 examples are too few: .* 2 groups .* data\.test_share or data\.validation_share"
    ):
        split(examples, settings_of(), 0)


def test_three_groups_are_enough_for_three_sides() -> None:
    assert sorted(split([example(f"q{i}") for i in range(3)], settings_of(), 0)) == ["test", "train", "validation"]
