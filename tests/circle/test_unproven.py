"""Of what is learned as a whole nothing is sealed, and whoever harvests it is told so."""

from __future__ import annotations

import math

import pytest

from sonneteer.circle.unproven import Unproven, unproven
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import SplitName
from sonneteer.records.rows import Row

from .test_harvested import SETTINGS, different, row


def sides(train: list[Row], test: list[Row] | None = None) -> dict[SplitName, list[Row]]:
    return {"train": train, "validation": [], "test": test or []}


def alike(count: int, **tags: str) -> list[Row]:
    return [row(number, f"How often may I oil it{'!?'[number % 2]}", **tags) for number in range(count)]


def unlike(numbers: range, **tags: str) -> list[Row]:
    return [row(number, different(number), different(number + 99), **tags) for number in numbers]


@pytest.mark.parametrize("settings", [SETTINGS, DataSettings(sources=(), keep_together=("conversation",))])
def test_a_topic_that_is_one_group_is_named_with_its_size(settings: DataSettings) -> None:
    found = unproven(sides(alike(8, topic="care") + unlike(range(100, 140))), (), settings)
    assert found == [Unproven("care", "How often may I oil it!", exchanges=8, groups=1)]


def test_without_a_label_a_large_group_is_named_by_its_first_question() -> None:
    found = unproven(sides(unlike(range(100, 140)) + alike(8)), (), SETTINGS)
    assert found == [Unproven("", "How often may I oil it!", exchanges=8, groups=1)]


def test_one_conversation_on_a_topic_is_one_group_however_different_its_questions() -> None:
    found = unproven(sides(unlike(range(9), topic="care", conversation="c")), (), SETTINGS)
    assert [(one.topic, one.exchanges, one.groups) for one in found] == [("care", 9, 1)]


def test_a_topic_of_which_something_is_sealed_can_be_proven() -> None:
    learned = alike(8, topic="care")
    assert unproven(sides(learned, unlike(range(200, 201), topic="care")), (), SETTINGS) == []
    assert unproven(sides(learned), {"care"}, SETTINGS) == []
    assert unproven(sides(learned, unlike(range(200, 201), topic="shipping")), {"taxes"}, SETTINGS) != []


def test_a_handful_and_what_differs_is_not_worth_a_word() -> None:
    assert unproven(sides(alike(4, topic="care") + unlike(range(100, 140))), (), SETTINGS) == []


def test_both_opinions_on_one_exchange_count_once() -> None:
    pair = [one | {"label": is_good} for one in alike(5, topic="care") for is_good in (True, False)]
    assert [one.exchanges for one in unproven(sides(pair), (), SETTINGS)] == [5]


def test_pairs_are_read_as_well_as_conversations() -> None:
    pairs = [
        {"prompt": one["messages"][:1], "chosen": one["messages"][1:], "rejected": one["messages"][:1], **one}
        for one in alike(5)
    ]
    for pair in pairs:
        del pair["messages"]
        pair["rejected"] = [{"role": "assistant", "content": "Never."}]
    assert [one.question for one in unproven(sides(pairs), (), SETTINGS)] == ["How often may I oil it!"]


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_as_many_are_asked_for_as_seal_enough_for_a_figure(share: float) -> None:
    said = Unproven("care", "?", 8, 1).says(share)
    assert f"about {math.ceil(5 / share)} other conversations" in said
    assert "Nothing with the label 'care' is sealed" in said
    assert "all 8 exchanges are learned (one group" in said


def test_where_nothing_is_ever_sealed_the_setting_is_named() -> None:
    assert Unproven("", "Why?", 8, 2).says(0).endswith("data.test_share is 0, so nothing will be.")
