"""Verifiable rewards: what an answer is worth, told by a rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from sonneteer.errors import MachineError, RecipeError
from sonneteer.recipe.learning import RewardSettings
from sonneteer.records import Example

Reward = Callable[[Example, str], float]
"""From an example and an answer to its question to what that answer is worth."""

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


def reward_of(settings: RewardSettings, given: Reward | None) -> Reward:
    """The rule that the recipe names. Raises RecipeError for a rule in Python that nobody gave."""
    if settings.kind == "python":
        if given is None:
            raise RecipeError(
                "training.reward.kind: 'python' needs a function from Python, given with the recipe: "
                "`lifecycle.run(read_recipe(path)._replace(reward=function), store, progress)`."
            )
        return given
    if given is not None:
        raise RecipeError(
            f"training.reward.kind is '{settings.kind}', and a function was given too. Say 'python', or give none."
        )
    rules: dict[str, Callable[[RewardSettings], Reward]] = {
        "exact_match": lambda _: exact_match,
        "regular_expression": regular_expression,
        "json_schema": json_schema,
        "numeric": numeric,
    }
    return rules[settings.kind](settings)


def expected_of(example: Example) -> str:
    """What is right: the row's reference answer, or else its answer."""
    return str(example.reference.get("reference_answer", example.answer.text))


def exact_match(example: Example, answer: str) -> float:
    """1 for the reference to the letter, white space at the ends aside."""
    return float(answer.strip() == expected_of(example).strip())


def regular_expression(settings: RewardSettings) -> Reward:
    """1 for an answer that holds the expression."""
    pattern = re.compile(settings.pattern or "")
    return lambda _, answer: float(pattern.search(answer) is not None)


def numeric(settings: RewardSettings) -> Reward:
    """1 where the last number of the answer is the last number of the reference."""

    def reward(example: Example, answer: str) -> float:
        right, said = last_number(expected_of(example)), last_number(answer)
        if right is None or said is None:
            return 0.0
        return float(math.isclose(said, right, rel_tol=settings.tolerance, abs_tol=settings.tolerance))

    return reward


def last_number(text: str) -> float | None:
    """The last number in a text; commas between its digits are left out."""
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def json_schema(settings: RewardSettings) -> Reward:
    """1 for a JSON text that fits the schema. Raises RecipeError for a schema that is none."""
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as problem:
        raise MachineError(
            "training.reward.kind: 'json_schema' needs the package jsonschema: pip install 'sonneteer[rewards]'."
        ) from problem
    kind = validator_for(settings.json_schema)
    try:
        kind.check_schema(settings.json_schema)
    except SchemaError as problem:
        raise RecipeError(f"training.reward.json_schema is no JSON schema: {problem.message}.") from problem
    validator = kind(settings.json_schema)

    def reward(_: Example, answer: str) -> float:
        try:
            value: Any = json.loads(answer)
        except ValueError:
            return 0.0
        return float(validator.is_valid(value))

    return reward
