"""No group crosses, the shares are met, and the order of the rows does not matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.data.bonds import Member, bonds_of, groups, member_of
from sonneteer.data.candidates import Candidate
from sonneteer.data.split import Split, split
from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Example, Message, SplitName


def example(asked: str, said: str = "Yes.", **tags: str) -> Example:
    return Example(messages=(Message(role="user", text=asked), Message(role="assistant", text=said)), tags=tags)


def members(examples: Iterable[Example], stratify_by: str | None = None) -> list[Member]:
    together = ("person", "conversation", "document")
    return [member_of(Candidate.of("x.jsonl", 1, example), together, stratify_by) for example in examples]


def sides_of(examples: Iterable[Example], settings: DataSettings, seed: int) -> list[SplitName]:
    return [side for side in split(members(examples), settings, seed).sides if side]


def groups_of(examples: Iterable[Example], keep_together: Sequence[str]) -> list[int]:
    return groups([tuple(bonds_of(Candidate.of("x.jsonl", 1, example), keep_together)) for example in examples])


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
        sides = sides_of(examples, settings_of(), seed)
    except DataError:
        assert len(set(groups_of(examples, ("person", "conversation", "document")))) < 3
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
        sides = sides_of(examples, settings_of(), seed=0)
    except DataError:
        return
    expected = {one.id: side for one, side in zip(examples, sides, strict=True)}
    assert [expected[one.id] for one in shuffled] == sides_of(shuffled, settings_of(), seed=0)


@given(count=st.integers(3, 200), validation=st.floats(0.01, 0.4), test=st.floats(0.01, 0.4), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_single_examples_meet_the_shares_to_the_nearest_one(
    count: int, validation: float, test: float, seed: int
) -> None:
    sides = Counter(sides_of([example(f"q{i}") for i in range(count)], settings_of(validation, test), seed))
    assert sides["train"] >= 1
    if sides["train"] > 1:  # else the others gave up what they could
        assert abs(sides["test"] - max(1, test * count)) <= 0.5 + 1e-9
        assert abs(sides["validation"] - max(1, validation * count)) <= 0.5 + 1e-9


def test_a_giant_group_does_not_end_up_in_the_test() -> None:
    examples = [example(f"q{i}", person="giant") for i in range(80)] + [example(f"r{i}") for i in range(20)]
    for seed in range(20):
        sides = sides_of(examples, settings_of(), seed)
        assert set(sides[:80]) == {"train"}
        assert Counter(sides) == {"train": 80, "test": 15, "validation": 5}


def test_another_seed_gives_another_sides_of() -> None:
    examples = [example(f"q{i}") for i in range(60)]
    assert sides_of(examples, settings_of(), 0) == sides_of(examples, settings_of(), 0)
    assert sides_of(examples, settings_of(), 0) != sides_of(examples, settings_of(), 1)


def test_a_new_example_hardly_moves_the_others() -> None:
    examples = [example(f"q{i}") for i in range(200)]
    before = sides_of(examples, settings_of(), 0)
    after = sides_of([example("new"), *examples], settings_of(), 0)[1:]
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 4


def test_equal_values_of_different_tags_do_not_bind() -> None:
    examples = [example("a", person="7"), example("b", conversation="7"), example("c", person="7")]
    first, second, third = groups_of(examples, ("person", "conversation"))
    assert first == third != second


def test_tags_that_are_not_kept_together_do_not_bind() -> None:
    assert len(set(groups_of([example("a", topic="x"), example("b", topic="x")], ("person",)))) == 2


def test_bonds_reach_over_several_examples() -> None:
    chain = [example("a", person="1"), example("b", person="1", document="x"), example("c", document="x"), example("c")]
    assert len(set(groups_of(chain, ("person", "document")))) == 1


def test_the_same_text_twice_is_one_group_and_other_texts_are_none() -> None:
    assert len(set(groups_of([text("a"), text("b"), text("a")], ()))) == 2


@pytest.mark.parametrize("share", ["validation", "test"])
def test_a_side_without_a_share_stays_empty(share: str) -> None:
    shares = {"validation": 0.2, "test": 0.2} | {share: 0.0}
    sides = sides_of([example(f"q{i}") for i in range(10)], settings_of(**shares), 0)
    assert share not in sides
    assert Counter(sides)["train"] == 8


def test_too_few_groups_are_refused_with_what_to_do() -> None:
    examples = [example(f"q{i}", person="one" if i else "two") for i in range(9)]
    with pytest.raises(
        DataError, match=r"9 examples are too few: .* 2 groups .* data\.test_share or data\.validation_share"
    ):
        sides_of(examples, settings_of(), 0)


def test_three_groups_are_enough_for_three_sides() -> None:
    assert sorted(sides_of([example(f"q{i}") for i in range(3)], settings_of(), 0)) == ["test", "train", "validation"]


def test_equal_questions_bind_whatever_their_case_spaces_and_punctuation() -> None:
    assert len(set(groups_of([example("Where is it?"), example("where  is it"), example("Where was it?")], ()))) == 2


def official(side: SplitName, *examples: Example) -> list[Member]:
    return [member._replace(side=side) for member in members(examples)]


def test_official_sides_are_kept_and_what_leaks_into_them_is_left_out() -> None:
    train = official("train", example("a"), example("b"), example("c", person="7"))
    test = official("test", example("B!"), example("d", person="7"))
    dealt = split([*train, *test], settings_of(), 0)
    assert dealt.sides == ["train", None, None, "test", "test"]
    assert dealt.leaks == {1: ("question", 3), 2: ("person", 4)}
    kept = split([*train, *test], settings_of().model_copy(update={"leaks": "keep"}), 0)
    assert kept == Split(["train"] * 3 + ["test"] * 2, {})


def test_what_is_bound_to_an_official_side_joins_it_and_the_rest_is_not_tested_on() -> None:
    free = members([example("d", person="7"), *(example(f"q{i}") for i in range(20))])
    sides = split([*official("test", example("a", person="7")), *free], settings_of(), 0).sides
    assert sides[:2] == ["test", "test"]
    assert Counter(sides[2:]) == {"train": 18, "validation": 2}


@given(counts=st.lists(st.integers(4, 60), min_size=1, max_size=5), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_every_stratum_gives_its_share(counts: list[int], seed: int) -> None:
    examples = [example(f"{topic}-{i}", topic=str(topic)) for topic, count in enumerate(counts) for i in range(count)]
    by_topic = settings_of(0.25, 0.25).model_copy(update={"stratify_by": "topic"})
    sides = split(members(examples, "topic"), by_topic, seed).sides
    for topic, count in enumerate(counts):
        own = Counter(side for one, side in zip(examples, sides, strict=True) if one.tags["topic"] == str(topic))
        assert abs(own["test"] - count / 4) <= 1
        assert abs(own["validation"] - count / 4) <= 1.5
    assert abs(sum(side == "test" for side in sides) - sum(counts) / 4) <= 1


def test_the_newest_are_sealed_and_those_before_them_watch() -> None:
    examples = [example(f"q{i}", time=f"2026-01-{i + 1:02}") for i in range(20)]
    by_time = settings_of(0.1, 0.2).model_copy(update={"split_by_time": True})
    sides = split(members(reversed(examples)), by_time, 0).sides[::-1]
    assert sides == ["train"] * 14 + ["validation"] * 2 + ["test"] * 4


def test_a_person_who_also_wrote_long_ago_is_not_sealed() -> None:
    examples = [example(f"q{i}", time=str(i), person=str(i % 10 if i in (0, 10) else i)) for i in range(11)]
    by_time = settings_of(0, 0.2).model_copy(update={"split_by_time": True})
    sides = split(members(examples), by_time, 0).sides
    assert (sides[0], sides[10], sides[9], sides[8]) == ("train", "train", "test", "test")


@pytest.mark.parametrize(("time", "said"), [({}, "is missing"), ({"time": "spring"}, "is no time")])
def test_a_split_by_time_needs_times(time: dict[str, str], said: str) -> None:
    examples = [example(f"q{i}", **time) for i in range(9)]
    with pytest.raises(DataError, match=said):
        split(members(examples), settings_of().model_copy(update={"split_by_time": True}), 0)


def test_sides_may_be_wanted_by_number() -> None:
    by_number = settings_of().model_copy(update={"test_examples": 7, "validation_examples": 3})
    assert Counter(sides_of([example(f"q{i}") for i in range(50)], by_number, 0)) == {
        "train": 40,
        "test": 7,
        "validation": 3,
    }
    with pytest.raises(DataError, match="leave nothing to learn"):
        sides_of([example(f"q{i}") for i in range(10)], by_number, 0)
