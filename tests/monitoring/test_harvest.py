"""What people said becomes rows of the data room's own shapes, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

from sonneteer.data.examples import chat, preference, unpaired
from sonneteer.monitoring import harvest
from sonneteer.recipe.learning import Objective
from sonneteer.records import Case, Feedback
from sonneteer.records.rows import Row

from .test_harm import NOW, exchange


def said(id: str, **what: Any) -> Feedback:
    return Feedback.model_validate({"id": f"f{id}", "exchange_id": id, "name": "poet", "created_at": NOW, **what})


def rows(objective: Objective, *feedback: Feedback) -> list[Row]:
    exchanges = {str(number): exchange(number, "old") for number in range(3)}
    found = harvest(exchanges, feedback, objective).rows
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_corrections_and_liked_answers_are_imitated() -> None:
    corrected, liked = (chat(row) for row in rows("imitation", said("0", correction="Good day"), said("1", stars=5)))
    assert (corrected.prompt.messages[0].text, corrected.answer.text) == ("Hi", "Good day")
    assert liked.answer.text == "Hello"
    assert rows("imitation", said("0", liked=False), said("1", comment="Hm")) == []


def test_a_correction_is_a_pair_with_the_answer_that_it_replaces() -> None:
    (row,) = rows("dpo", said("0", correction="Good day"), said("1", liked=True), said("2", correction="Hello"))
    pair = preference(row)
    assert pair.rejected is not None
    assert (pair.answer.text, pair.rejected.text) == ("Good day", "Hello")


def test_thumbs_are_labels() -> None:
    examples = [unpaired(row) for row in rows("kto", said("0", liked=True), said("1", correction="Good day"))]
    assert [(one.answer.text, one.label) for one in examples] == [("Hello", True), ("Hello", False), ("Good day", True)]


def test_the_last_word_on_an_exchange_counts_and_names_its_topic() -> None:
    (row,) = rows("imitation", said("0", correction="one"), said("0", correction="two", label="greeting"))
    assert chat(row).answer.text == "two"
    assert (row["tags"]["topic"], row["tags"]["exchange"]) == ("greeting", "0")


def test_a_correction_with_masked_personal_data_is_held_back() -> None:
    found = harvest({"0": exchange(0, "old")}, [said("0", correction="Dear [NAME]")], "imitation")
    assert (found.rows, found.cases, found.held_back) == ([], [], 1)


def test_a_confirmed_bad_answer_is_a_case_as_anybody_would_add_it() -> None:
    lived = exchange(0, "old")
    confirmed = [said("0", liked=False, correction="Good day")]
    (case,) = harvest({"0": lived}, confirmed, "imitation").cases
    assert (case.prompt, case.bad, case.good) == (lived.prompt.messages, lived.answer.text, "Good day")
    assert case.id == Case.name_of(case.prompt, case.bad)
