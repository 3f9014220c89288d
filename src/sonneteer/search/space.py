"""What a search may change: a setting's range or choices, checked, with the recipe's own value always among them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import WITHOUT_EFFECT, Recipe
from sonneteer.recipe.settings import SETTINGS
from sonneteer.records import Record

Settings = Mapping[str, Any]
"""Values by dotted name, such as `training.rank: 8`."""
SEARCHED = ("training.", "data.", "base.")
OTHER_LOSS = "it changes what the validation loss means, by which trials are compared"
OTHER_WATCH = "it decides which examples watch the training, and trials are compared on the same ones"
UNSEARCHED = (
    dict.fromkeys(
        ("training.objective", "training.preference", "training.learn_prompts", "training.label_smoothing"), OTHER_LOSS
    )
    | dict.fromkeys(("training.distillation", "training.reward.kind", "training.reward.pattern"), OTHER_LOSS)
    | dict.fromkeys((f"training.{name}" for name in WITHOUT_EFFECT), "it does not change the result")
    | dict.fromkeys(
        (f"data.{side}_{how}" for side in ("validation", "test") for how in ("share", "examples")), OTHER_WATCH
    )
    | dict.fromkeys(
        (f"data.{name}" for name in ("keep_together", "stratify_by", "split_by_time", "leaks")), OTHER_WATCH
    )
)
"""Settings that trials cannot differ in, and why."""


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
    """The recipe with other settings. Raises ValueError where a value cannot be."""
    said = recipe.model_dump()
    for name, value in settings.items():
        *sections, key = name.split(".")
        reduce(operator.getitem, sections, said)[key] = value
    try:
        return Recipe.model_validate(said)
    except ValidationError as problem:
        first = problem.errors()[0]
        value = next(iter(settings.values())) if isinstance(first["input"], dict) else first["input"]
        why = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ValueError(f"{value!r} cannot be: {why[0].lower()}{why[1:]}") from problem


def changes_data(settings: Settings) -> bool:
    """Whether the data has to be prepared anew: by other rules, or for a base model that reads in another way."""
    return any(not name.startswith("training.") for name in settings)


def changes_base(settings: Settings) -> bool:
    """Whether another base model is tried."""
    return any(name.startswith("base.") for name in settings)


def _own(recipe: Recipe, name: str) -> Any:
    if name not in SETTINGS or SETTINGS[name].is_section:
        raise ValueError("there is no such setting in a recipe; write its whole name, as in training.learning_rate")
    if not name.startswith(SEARCHED):
        raise ValueError(
            "only settings of training, data and base can be searched: the others change no validation loss"
        )
    for other, why in UNSEARCHED.items():
        if name == other or name.startswith(f"{other}."):
            raise ValueError(f"it cannot be searched, as {why}")
    own: Any = recipe
    for part in name.split("."):
        own = getattr(own, part)
        if own is None and part != name.rpartition(".")[2]:
            raise ValueError(f"this recipe has no section '{part}'")
    return own


def _range(ends: tuple[float, float], own: Any) -> BaseDistribution:
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise ValueError(f"it is {own!r}, no number, and cannot have a range; use search.choices")
    if not ends[0] < ends[1]:
        raise ValueError(f"its range must rise, and goes from {ends[0]:g} to {ends[1]:g}")
    low, high = min(ends[0], own), max(ends[1], own)
    is_log = low > 0 and high / low >= 10
    if isinstance(own, int):
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _choices(choices: tuple[Any, ...], own: Any) -> BaseDistribution:
    if not isinstance(own, int | float | str | None):
        raise ValueError(f"it is {own!r}, and only numbers, words, truth values and null can be searched")
    kept = sorted({own, *choices}, key=lambda value: (value is not None, isinstance(value, str), value or 0))
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
