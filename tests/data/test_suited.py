"""Each objective gets the examples that it can learn from."""

from __future__ import annotations

import pytest

from sonneteer.data.suited import BothAnswers, suited
from sonneteer.recipe.learning import Objective
from sonneteer.records import Example, Message
from tests.data.writing import WordReader

ASKED, SAID = Message(role="user", text="Hm?"), Message(role="assistant", text="Yes.")
PLAIN = Example(messages=(ASKED, SAID))
PAIR = PLAIN.model_copy(update={"rejected": Message(role="assistant", text="No, and three more words.")})
LIKED, DISLIKED = (PLAIN.model_copy(update={"label": label}) for label in (True, False))


@pytest.mark.parametrize(
    ("objective", "kept"),
    [
        ("imitation", [PLAIN, PAIR, LIKED]),
        ("dpo", [PAIR]),
        ("orpo", [PAIR]),
        ("kto", [PAIR, LIKED, DISLIKED]),
    ],
)
def test_each_objective_keeps_what_it_can_learn_from(objective: Objective, kept: list[Example]) -> None:
    outcomes = [suited(example, objective) for example in (PLAIN, PAIR, LIKED, DISLIKED)]
    assert [outcome.example for outcome in outcomes if outcome.example] == kept
    assert all(outcome.said for outcome in outcomes if outcome.example is None)


def test_what_people_disliked_is_told_apart_from_what_lacks_a_comparison() -> None:
    assert suited(DISLIKED, "imitation").fate == "disliked"
    assert suited(PLAIN, "dpo").fate == suited(PLAIN, "kto").fate == "nothing_to_learn"


def test_a_rejected_answer_counts_for_the_length_where_it_is_learned_from() -> None:
    renderer = WordReader().renderer([])
    better, worse = BothAnswers(renderer).render(PAIR)
    assert len(worse.ids) > len(better.ids)
    assert BothAnswers(renderer).render(PLAIN) == renderer.render(PLAIN)


def test_plain_text_asks_nothing_that_could_be_rewarded() -> None:
    text = Example(messages=(SAID,), is_text=True)
    assert suited(text, "grpo").fate == "nothing_to_learn"
    assert suited(PLAIN, "grpo").example == PLAIN
