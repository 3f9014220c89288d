"""Trials begin with the recipe's own settings, stop the hopeless, and go on after a crash."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.pruners import MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from sonneteer.errors import RecipeError
from sonneteer.recipe import Recipe
from sonneteer.recipe.sections import SearchSettings
from sonneteer.search.choose import best_settings, choose, train_again
from sonneteer.search.found import Finalist
from sonneteer.search.report import attempts_of
from sonneteer.search.space import Settings, Trained, own_settings, space_of, with_settings
from sonneteer.search.trials import Hunt, Place, pruner_for, sampler_for

RECIPE = Recipe.model_validate({"name": "demo", "data": {"sources": [{"path": "a.jsonl"}]}})


def bowl(settings: Settings, seed: int, watch: Callable[[float], None]) -> Trained:
    """The loss is lowest at a learning rate of 10^-3; above 10^-2 it explodes."""
    rate = settings["training.learning_rate"]
    loss = 1 + (math.log10(rate) + 3) ** 2 + 0.001 * seed
    watch(3.0)
    if rate > 1e-2:
        raise RecipeError("training.learning_rate: the loss became nan.")
    for share in (2.0, 1.5, 1.0, 1.0):
        watch(loss * share)
    return Trained(loss=loss, work_tflop=float(settings["training.rank"]), trained_parameters=10)


def hunt(folder: Path, train: Callable[..., Trained] = bowl, **changes: object) -> Hunt:
    settings = SearchSettings(
        ranges={"training.learning_rate": (1e-6, 1e-1)}, choices={"training.rank": (8, 16)}
    ).model_copy(update=changes)
    recipe = RECIPE.model_copy(update={"search": settings})
    return Hunt(settings, space_of(recipe), Place(folder / "workspace", "search"), train, 0)


def own(one: Hunt) -> dict[str, object]:
    return own_settings(RECIPE, one.space)


def test_the_first_trial_is_the_recipe_as_it_stands_and_the_best_comes_near_the_bottom(tmp_path: Path) -> None:
    one = hunt(tmp_path, trials=15, sampler="tpe")
    study = one.go(own(one), lambda *_: None)
    attempts = attempts_of(study)
    assert len(attempts) == 15
    assert attempts[0].settings == {"training.learning_rate": 2e-4, "training.rank": 16}
    assert best_settings(study, 1)[0]["training.learning_rate"] == pytest.approx(1e-3, rel=2)
    assert any(attempt.loss is None for attempt in attempts), "hopeless trials are stopped"
    assert all(attempt.loss == 3.0 for attempt in attempts if attempt.settings["training.learning_rate"] > 1e-2)


def test_an_interrupted_search_proposes_the_same_again_and_goes_on(tmp_path: Path) -> None:
    asked: list[Settings] = []

    def crashes(settings: Settings, seed: int, watch: Callable[[float], None]) -> Trained:
        asked.append(settings)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return bowl(settings, seed, watch)

    one = hunt(tmp_path, crashes, trials=6, sampler="random")
    with pytest.raises(KeyboardInterrupt):
        one.go(own(one), lambda *_: None)
    study = one.go(own(one), lambda *_: None)
    assert asked[3] == asked[2]
    assert len(attempts_of(study)) == 6
    assert len(asked) == 7
    more = hunt(tmp_path, crashes, trials=8, sampler="random")
    assert len(attempts_of(more.go(own(more), lambda *_: None))) == 8


def test_a_mistake_in_the_recipe_ends_the_search(tmp_path: Path) -> None:
    def refuses(settings: Settings, seed: int, watch: Callable[[float], None]) -> Trained:
        raise RecipeError("training.target_modules: fits no layer.")

    one = hunt(tmp_path, refuses)
    with pytest.raises(RecipeError, match="fits no layer"):
        one.go(own(one), lambda *_: None)


@pytest.mark.slow
def test_several_processes_try_as_many_settings_as_one(tmp_path: Path) -> None:
    one = hunt(tmp_path, trials=6, processes=2, sampler="random")
    study = one.go(own(one), lambda *_: None)
    assert len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))) == 6


@pytest.mark.parametrize(
    ("trials", "sampler", "pruner"),
    [(20, GPSampler, MedianPruner), (40, TPESampler, MedianPruner), (60, TPESampler, SuccessiveHalvingPruner)],
)
def test_the_budget_decides_who_proposes_and_who_stops(trials: int, sampler: type, pruner: type) -> None:
    settings = SearchSettings(trials=trials)
    assert isinstance(sampler_for(settings, 0), sampler)
    assert isinstance(pruner_for(settings), pruner)
    assert isinstance(sampler_for(SearchSettings(sampler="random"), 0), RandomSampler)


def finalist(losses: tuple[float, ...], work: float) -> Finalist:
    return Finalist(settings={}, losses=losses, work_tflop=work, trained_parameters=1)


def test_of_those_within_one_standard_error_of_the_best_the_cheapest_is_chosen() -> None:
    best = finalist((1.0, 1.1, 0.9), 9.0)  # standard error 0.058
    near, far = finalist((1.05, 1.05, 1.05), 5.0), finalist((1.2, 1.2, 1.2), 1.0)
    assert choose([best, near, far]) == near
    assert choose([finalist((1.0, 1.0, 1.0), 9.0), near]).work_tflop == 9.0


def test_finalists_are_different_settings_trained_with_every_seed(tmp_path: Path) -> None:
    one = hunt(tmp_path, trials=5, sampler="random")
    study = one.go(own(one), lambda *_: None)
    found = best_settings(study, 3)
    assert len({str(settings) for settings in found}) == len(found) <= 3
    told: list[tuple[int, int]] = []
    finalists = train_again(found[:2], [0, 1, 2], bowl, lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(6)]
    assert finalists[0].losses[1] == pytest.approx(finalists[0].losses[0] + 0.001)


# The space ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        ({"ranges": {"evaluation.few_shot": (1, 3)}}, "evaluation.few_shot: only settings of training, data and base"),
        ({"ranges": {"training.learning_rat": (8, 16)}}, "learning_rat: there is no such setting"),
        ({"ranges": {"data.validation_share": (0.1, 0.2)}}, "it decides which examples watch the training"),
        ({"ranges": {"data.balance.most": (1, 5)}}, "it is None, no number, and cannot have a range"),
        ({"choices": {"base.from_scratch.layers": (2, 4)}}, "this recipe has no section 'from_scratch'"),
        (
            {"choices": {"data.balance.most": (5,)}},
            "5 cannot be: data.balance.most",
        ),
        ({"ranges": {"training.learning_rate": (2, 1)}}, "its range must rise, and goes from 2 to 1"),
        ({"ranges": {"training.learning_rate": (-1, 1)}}, "-1.0 cannot be: input should be greater than 0"),
        ({"ranges": {"training.schedule": (1, 2)}}, "it is 'cosine', no number"),
        ({"choices": {"training.schedule": ("round",)}}, "'round' cannot be"),
        ({"choices": {"training.rank": (16,)}}, "it has no second value to choose"),
        ({"choices": {"training.learn_prompts": (1,)}}, "it changes what the validation loss means"),
        ({"choices": {"training.preference.beta": (1.0,)}}, "it changes what the validation loss means"),
        ({"choices": {"training.target_modules": ("a",), "training.trackers": ("a",)}}, "trackers: it cannot"),
        ({}, "there is nothing to search"),
    ],
)
def test_a_space_that_cannot_be_is_refused_in_words(search: dict[str, object], problem: str) -> None:
    settings = SearchSettings.model_validate({"ranges": {}, "choices": {}} | search)
    with pytest.raises(RecipeError) as caught:
        space_of(RECIPE.model_copy(update={"search": settings}))
    assert problem in str(caught.value)


def test_without_an_adapter_its_rank_is_not_searched() -> None:
    full = with_settings(RECIPE, {"training.method": "full"})
    assert "training.rank" not in space_of(full)
    assert "training.rank" in space_of(RECIPE)
