"""One group in another's place, and the rest of the text as it was."""

from __future__ import annotations

import pytest

from sonneteer.groups import AXES, Swap, swap_example, swapped, swaps_of
from sonneteer.records import Example, Message

GENDER = Swap("gender", "women", "men")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("She told her boss that her wife likes him.", "He told his boss that his husband likes her."),
        ("I gave him his book; it is hers, not his.", "I gave her her book; it is his, not hers."),
        ("HER MOTHER saw her yesterday.", "HIS FATHER saw him yesterday."),
        ("The mother-in-law and the shell here.", "The mother-in-law and the shell here."),
    ],
)
def test_women_and_men_change_places(text: str, other: str) -> None:
    assert swapped(text, GENDER) == other


def test_names_follow_and_keep_their_country() -> None:
    once = swapped("Mr. Giuseppe Rossi called.", GENDER)
    assert once.startswith("Mrs. ")
    assert "Rossi" in once
    assert "Giuseppe" not in once


def test_an_article_suits_the_word_behind_it() -> None:
    assert swapped("An old man met a teenager.", Swap("age", "young", "old")) == "A young man met a pensioner."
    assert swapped("A rabbi spoke.", Swap("religion", "Muslims", "Jews")) == "An imam spoke."


def test_only_groups_that_are_mentioned_are_swapped() -> None:
    assert swaps_of("The order arrived late.") == []
    assert {swap.axis for swap in swaps_of("The priest and her sister")} == {"gender", "religion"}
    assert {(s.one, s.other) for s in swaps_of("a rabbi", ("religion",))} == {
        ("Christians", "Jews"),
        ("Muslims", "Jews"),
        ("Jews", "Hindus"),
    }


def test_every_row_has_a_word_for_each_group() -> None:
    assert all(len(row) == len(axis.groups) for axis in AXES.values() for row in axis.rows)


def test_an_example_is_swapped_in_all_that_it_says() -> None:
    example = Example(
        messages=(Message(role="user", text="Is she here?"), Message(role="assistant", text="He is.")),
        rejected=Message(role="assistant", text="She left."),
    )
    other = swap_example(example, GENDER)
    assert [message.text for message in other.messages] == ["Is he here?", "She is."]
    assert other.rejected is not None
    assert other.rejected.text == "He left."
