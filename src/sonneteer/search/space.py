"""What a search may change: a setting's range or choices, checked, with the recipe's own value always among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import WITHOUT_EFFECT, Recipe, TrainingSettings
from sonneteer.records import Record

Settings = Mapping[str, Any]
"""Values by dotted name, such as `training.rank: 8`."""
PREFIX = "training."
OTHER_LOSS = {"objective", "preference", "learn_prompts", "label_smoothing"}
"""Settings that change what the validation loss means: trials with different ones cannot be compared by it."""


def space_of(recipe: Recipe) -> dict[str, BaseDistribution]:
    """The recipe's search space. Raises RecipeError with all problems at once."""
    search, problems = recipe.search, []
    space: dict[str, BaseDistribution] = {}
    for name in {**search.ranges, **search.choices}:
        try:
            own = _own(recipe, name)
            in_range, choices = search.ranges.get(name), search.choices.get(name)
            if in_range is not None and choices is not None:
                raise ValueError("it has a range and choices; keep one of them")
            if recipe.training.method == "full" and name in ("training.rank", "training.alpha", "training.dropout"):
                continue  # nothing would come of it
            space[name] = _range(in_range, own) if in_range is not None else _choices(choices or (), own)
            for value in _ends(space[name]):
                with_settings(recipe, {name: value})
        except ValueError as problem:
            problems.append(f"search: {name}: {problem}.")
    if not space and not problems:
        problems.append("search: there is nothing to search. Give search.ranges or search.choices a setting.")
    if problems:
        raise RecipeError(problems)
    return space


def own_settings(recipe: Recipe, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The recipe's own values: the trial to begin with."""
    return {name: _own(recipe, name) for name in space}


def with_settings(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with other settings of `training`. Raises ValueError where a value cannot be."""
    changes = {name.removeprefix(PREFIX): value for name, value in settings.items()}
    try:
        training = TrainingSettings.model_validate(recipe.training.model_dump() | changes)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise ValueError(f"{first['input']!r} cannot be: {first['msg'].lower()}") from problem
    return recipe.model_copy(update={"training": training})


def _own(recipe: Recipe, name: str) -> Any:
    field = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or field not in TrainingSettings.model_fields:
        raise ValueError("only settings of `training` can be searched, written as in training.learning_rate")
    if field in OTHER_LOSS | WITHOUT_EFFECT:
        raise ValueError(
            "it cannot be searched, as trials are compared by a loss that it does not change, or redefines"
        )
    return getattr(recipe.training, field)


def _range(ends: tuple[float, float], own: Any) -> BaseDistribution:
    if isinstance(own, bool) or not isinstance(own, (int, float)):
        raise ValueError(f"it is {own!r}, no number, and cannot have a range; use search.choices")
    if not ends[0] < ends[1]:
        raise ValueError(f"its range must rise, and goes from {ends[0]:g} to {ends[1]:g}")
    low, high = min(ends[0], own), max(ends[1], own)
    is_log = low > 0 and high / low >= 10
    if isinstance(own, int):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _choices(choices: tuple[Any, ...], own: Any) -> BaseDistribution:
    if not isinstance(own, (int, float, str)):
        raise ValueError(f"it is {own!r}, and only numbers, words and truth values can be searched")
    kept = sorted({own, *choices}, key=lambda value: (isinstance(value, str), value))
    if len(kept) < 2:
        raise ValueError("it has no second value to choose")
    return CategoricalDistribution(kept)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]


class Trained(Record):
    """What training with some settings came to."""

    loss: float
    """Best validation loss."""
    work_tflop: float
    trained_parameters: int
