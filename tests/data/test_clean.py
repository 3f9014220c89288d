"""What is left out, and why."""

from __future__ import annotations

import pytest

from sonneteer.data.candidates import Candidate
from sonneteer.data.clean import learnable, without_duplicates
from sonneteer.data.ledger import Ledger
from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Example, Message, Rendered
from tests.data.writing import WordReader

DATA = DataSettings(sources=(), max_tokens=8)


def candidate(row: int, asked: str = "Hm?", said: str = "Yes.", weight: float = 1.0, **fields: bool) -> Candidate:
    answer = Message(role="assistant", text=said, weight=weight)
    return Candidate.of("x.jsonl", row, Example(messages=(Message(role="user", text=asked), answer), **fields))


def ledger_of(rows: int) -> Ledger:
    ledger = Ledger()
    ledger.open("x.jsonl", rows)
    return ledger


def test_the_first_of_two_that_say_the_same_is_kept_and_the_other_names_it() -> None:
    ledger = ledger_of(3)
    kept = without_duplicates([candidate(4), candidate(5, said="No."), candidate(9)], ledger)
    assert [one.row for one in kept] == [4, 5]
    assert [(e.row, e.reason) for e in ledger.of_fate("duplicate")] == [(9, "says the same as x.jsonl:4")]


def test_tags_do_not_make_a_difference_between_duplicates() -> None:
    tagged = Candidate.of("x.jsonl", 2, candidate(2).example.model_copy(update={"tags": {"topic": "x"}}))
    assert len(without_duplicates([candidate(1), tagged], ledger_of(2))) == 1


def test_what_is_longer_than_the_limit_is_dropped_and_said() -> None:
    ledger = ledger_of(2)
    kept = learnable([candidate(1, said="1 2 3 4 5"), candidate(2, said="1 2 3 4")], DATA, WordReader(), ledger)
    assert [one.candidate.row for one in kept] == [2]
    assert [(e.row, e.reason) for e in ledger.of_fate("too_long")] == [(1, "9 tokens, but data.max_tokens is 8")]


def test_what_is_too_long_is_a_failure_where_the_settings_say_so() -> None:
    data = DATA.model_copy(update={"over_length": "fail"})
    with pytest.raises(DataError, match=r"1 examples are too long, .*:\n  x\.jsonl:1: 9 tokens"):
        learnable([candidate(1, said="1 2 3 4 5"), candidate(2)], data, WordReader(), ledger_of(2))


def test_plain_text_may_be_longer_than_the_limit() -> None:
    story = Example(messages=(Message(role="assistant", text="word " * 20),), is_text=True)
    assert len(learnable([Candidate.of("x.jsonl", 1, story)], DATA, WordReader(), ledger_of(1))) == 1


def test_where_no_token_is_learned_there_is_nothing_to_learn() -> None:
    ledger = ledger_of(2)
    kept = learnable([candidate(1, weight=0.0), candidate(2)], DATA, WordReader(), ledger)
    assert [one.candidate.row for one in kept] == [2]
    assert [entry.row for entry in ledger.of_fate("nothing_to_learn")] == [1]


def test_a_first_token_is_never_learned_for_nothing_predicts_it() -> None:
    class OneToken(WordReader):
        def render(self, example: Example) -> list[Rendered]:
            return [Rendered([5], [1.0])]

    with pytest.raises(DataError, match="1 nothing to learn"):
        learnable([candidate(1)], DATA, OneToken(), ledger_of(1))


def test_what_the_template_refuses_is_broken_with_its_words() -> None:
    ledger = ledger_of(2)
    learnable([candidate(1, asked="unspeakable"), candidate(2)], DATA, WordReader(), ledger)
    assert [(e.row, e.reason) for e in ledger.of_fate("broken")] == [(1, "the template refuses it")]


def test_all_sequences_of_an_example_are_counted() -> None:
    class Twice(WordReader):
        def render(self, example: Example) -> list[Rendered]:
            return super().render(example) * 2

    (once,) = learnable([candidate(1)], DATA, WordReader(), ledger_of(1))
    (twice,) = learnable([candidate(1)], DATA, Twice(), ledger_of(1))
    assert (once.tokens, once.learned_tokens) == (5, 2)
    assert (twice.tokens, twice.learned_tokens) == (10, 4)


def test_when_nothing_is_left_the_account_says_where_it_went() -> None:
    with pytest.raises(
        DataError, match=r"^Nothing is left to learn\. Of 1 rows: 1 too long \(such as x\.jsonl:1: 9 tokens"
    ):
        learnable([candidate(1, said="1 2 3 4 5")], DATA, WordReader(), ledger_of(1))
