"""What an answer is worth."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sonneteer.errors import RecipeError
from sonneteer.recipe.learning import RewardSettings
from sonneteer.records import Example, Message
from sonneteer.training.rewards import reward_of

ASKED = (Message(role="user", text="How much?"), Message(role="assistant", text="It costs 1,250.50 euros."))
EXAMPLE = Example(messages=ASKED)
REFERRED = EXAMPLE.model_copy(update={"reference": {"reference_answer": "7"}})
SCHEMA = {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}


@pytest.mark.parametrize(
    ("settings", "good", "bad"),
    [
        ({}, ["It costs 1,250.50 euros. "], ["it costs 1,250.50 euros.", ""]),
        ({"kind": "numeric"}, ["1250.5", "first 3, then 1250.50"], ["1250", "no number", "1250.5 or 3"]),
        ({"kind": "numeric", "tolerance": 0.01}, ["1251"], ["1300"]),
        ({"kind": "regular_expression", "pattern": r"\beuros?\b"}, ["a euro"], ["neuro"]),
        ({"kind": "json_schema", "json_schema": SCHEMA}, ['{"price": 3}'], ['{"price": "3"}', "{}", "price: 3", ""]),
    ],
)
def test_each_rule_tells_good_answers_from_bad_ones(
    settings: dict[str, object], good: list[str], bad: list[str]
) -> None:
    reward = reward_of(RewardSettings.model_validate(settings), None)
    assert [reward(EXAMPLE, answer) for answer in good] == [1.0] * len(good)
    assert [reward(EXAMPLE, answer) for answer in bad] == [0.0] * len(bad)


def test_a_reference_answer_goes_before_the_example_s_own() -> None:
    assert reward_of(RewardSettings(), None)(REFERRED, "7") == 1
    assert reward_of(RewardSettings(kind="numeric"), None)(REFERRED, "It is 7.0") == 1


def test_a_user_s_function_is_taken_as_it_is() -> None:
    assert reward_of(RewardSettings(kind="python"), lambda example, answer: len(answer))(EXAMPLE, "four") == 4


def test_a_rule_without_what_it_needs_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs a function from Python"):
        reward_of(RewardSettings(kind="python"), None)
    with pytest.raises(RecipeError, match="Say 'python'"):
        reward_of(RewardSettings(), lambda example, answer: 1.0)
    with pytest.raises(RecipeError, match="no JSON schema"):
        reward_of(RewardSettings(kind="json_schema", json_schema={"type": "nonsense"}), None)
    for settings, missing in (
        ({"kind": "regular_expression"}, "pattern is missing"),
        ({"kind": "regular_expression", "pattern": "("}, "no regular expression"),
        ({"kind": "json_schema"}, "json_schema is missing"),
    ):
        with pytest.raises(ValidationError, match=missing):
            RewardSettings.model_validate(settings)
