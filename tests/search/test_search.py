"""A whole search on a tiny model: it finds better settings, writes them into a recipe, and shows how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer import lifecycle, preparation
from sonneteer.data.freeze import ids_in
from sonneteer.errors import DataError, RecipeError
from sonneteer.models.scratch import new_tokenizer
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.recipe.rewrite import beside, rewrite
from sonneteer.recipe.sections import SearchSettings
from sonneteer.records import DatasetVersion, ModelVersion, Run
from sonneteer.search.space import with_settings
from sonneteer.store import Store
from sonneteer.training.range_test import chosen_rate, sane_pace

from ..made import easy_recipe
from ..models.networks import saved

RECIPE = """\
name: tiny  # a comment that stays
data: {sources: rows.jsonl}
base: {model: base}
training:
  learning_rate: 1e-5   # much too low
  rank: 4
  epochs: 2
search:
  trials: 3
  seeds: 2
  finalists: 2
  sampler: random
  ranges: {training.learning_rate: [1e-5, 0.1]}
  choices: {training.batch_size: [8, 16]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    saved("llama", tmp_path / "base")
    return easy_recipe(tmp_path, RECIPE)


def test_a_search_finds_better_settings_and_says_how(loaded: LoadedRecipe) -> None:
    store = Store(loaded.folder / "workspace")
    wanted = loaded.recipe.search.model_copy(update={"control": True})
    loaded = loaded._replace(recipe=loaded.recipe.model_copy(update={"search": wanted}))
    found = lifecycle.search(loaded, store, Silent())
    report = found.report
    assert report is not None
    assert report.own_loss is not None
    assert report.chosen.mean < report.own_loss - 0.1
    assert report.chosen.settings["training.learning_rate"] == found.recipe.training.learning_rate
    assert (len(report.attempts), len(report.control), len(report.chosen.losses)) == (3, 3, 2)
    assert not store.find(ModelVersion), "trials are no models"
    assert not list(store.root.glob("runs/*/checkpoints")), "trials do not fill the disk"
    assert found.page is not None
    page = found.page.read_text()
    assert page.count("<svg") == 2
    assert "http" not in page.replace("Content-Security", "").replace("http-equiv", "")
    assert json.loads((found.page.parent / "report.json").read_text())["name"] == "tiny"
    runs = len(store.find(Run))
    again = lifecycle.search(loaded, store, Silent())
    assert again.report is not None
    assert again.report.chosen == report.chosen
    assert len(store.find(Run)) == runs, "nothing is trained twice"


def test_the_best_settings_go_into_a_recipe_beside_or_over_the_first(loaded: LoadedRecipe) -> None:
    better = with_settings(loaded.recipe, {"training.learning_rate": 0.01, "training.batch_size": 8})
    other = rewrite(loaded, better, beside(loaded, in_place=False))
    assert other.name == "recipe.best.yaml"
    assert read_recipe(other).recipe == better
    assert loaded.path.read_text() == RECIPE
    assert rewrite(loaded, better, beside(loaded, in_place=True)) == loaded.path
    assert read_recipe(loaded.path).recipe == better
    assert "# a comment that stays" in loaded.path.read_text()


def test_settings_under_another_tools_name_are_left_to_the_user(loaded: LoadedRecipe) -> None:
    loaded.path.write_text(RECIPE.replace("rank: 4", "lora_r: 4"))
    loaded = read_recipe(loaded.path)
    with pytest.raises(RecipeError, match=r"by hand:\n  training\.rank: 8"):
        rewrite(loaded, with_settings(loaded.recipe, {"training.rank": 8}), beside(loaded, in_place=False))
    assert not list(loaded.folder.glob("*best*"))


def test_without_validation_examples_there_is_nothing_to_compare_by(loaded: LoadedRecipe) -> None:
    blind = read_recipe(loaded.path, ["--data.validation_share", "0"])
    with pytest.raises(DataError, match=r"data\.validation_share"):
        lifecycle.search(blind, Store(loaded.folder / "workspace"), Silent())


def test_search_auto_finds_a_learning_rate_that_learns(loaded: LoadedRecipe) -> None:
    auto = read_recipe(loaded.path, ["--search", "auto"])
    found = lifecycle.search(auto, Store(loaded.folder / "workspace"), Silent())
    assert found.rates is not None
    assert 1e-4 < found.recipe.training.learning_rate < 0.1
    assert found.recipe.training.batch_size == 4
    assert found.recipe.training.epochs == 5


def test_the_learning_rate_lies_a_tenth_below_the_lowest_loss() -> None:
    rates = [10 ** (-5 + number / 10) for number in range(41)]  # 10^-5 to 10^-1
    losses = [1 + abs(number - 30) / 10 for number in range(41)]  # lowest at 10^-2
    losses[5] = 0.1  # one lucky batch does not count
    assert 5e-4 < chosen_rate(rates, losses) < 2e-3


@pytest.mark.parametrize(("examples", "pace"), [(10, (4, 5)), (300, (8, 5)), (1000, (32, 5)), (100_000, (32, 1))])
def test_the_pace_suits_the_amount_of_data(examples: int, pace: tuple[int, float]) -> None:
    assert sane_pace(examples) == pace


# Settings of the data and of the base -------------------------------------------------------------

TOPICS = RECIPE.replace("{sources: rows.jsonl}", "{sources: rows.jsonl, balance: {by: topic}}")


@pytest.fixture
def by_topic(loaded: LoadedRecipe) -> LoadedRecipe:
    """Rows of two topics, and a recipe that may keep fewer of each."""
    rows = [json.loads(line) for line in (loaded.folder / "rows.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["topic"] = "tea" if number % 4 else "cake"
    (loaded.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded.path.write_text(TOPICS)
    return read_recipe(loaded.path)


def searching(loaded: LoadedRecipe, **search: object) -> LoadedRecipe:
    settings = SearchSettings.model_validate({"trials": 2, "seeds": 1, "finalists": 2, "ranges": {}} | search)
    return loaded._replace(recipe=loaded.recipe.model_copy(update={"search": settings}))


def test_each_data_setting_has_a_data_set_of_its_own_watched_by_the_same_examples(by_topic: LoadedRecipe) -> None:
    store = Store(by_topic.folder / "workspace")
    own = preparation.prepare(by_topic, store, Silent())
    found = lifecycle.search(searching(by_topic, choices={"data.balance.most": [None, 12]}), store, Silent())
    assert found.report is not None
    tried = {attempt.settings["data.balance.most"] for attempt in found.report.attempts}
    assert tried == {None, 12}
    runs = store.find(Run)
    (other,) = {run.dataset_id for run in runs} - {own.id}
    capped = store.get(DatasetVersion, other)
    assert capped.splits["train"].examples < own.splits["train"].examples
    assert (capped.splits["validation"], capped.splits["test"]) == (own.splits["validation"], own.splits["test"])
    learned, watching = (set(ids_in(store, capped, side)) for side in ("train", "validation"))
    assert learned <= set(ids_in(store, own, "train"))
    assert not learned & watching
    better = with_settings(by_topic.recipe, {"data.balance.most": 12})
    assert read_recipe(rewrite(by_topic, better, beside(by_topic, in_place=False))).recipe == better


def test_another_base_is_compared_by_the_loss_on_the_same_answers(loaded: LoadedRecipe) -> None:
    store = Store(loaded.folder / "workspace")
    folder = saved("qwen3", loaded.folder / "other")
    new_tokenizer(["Good day to you. Say this or that, and say it well."] * 9, 400).save_pretrained(folder)
    found = lifecycle.search(searching(loaded, choices={"base.model": ["base", "other"]}), store, Silent())
    assert found.report is not None
    losses = {attempt.settings["base.model"]: attempt.loss for attempt in found.report.attempts}
    runs = {run.base: run.best_validation_loss for run in store.find(Run)}
    assert losses["base"] == runs["base"]
    assert losses["other"] is not None
    assert runs["other"] is not None
    assert losses["other"] < 0.8 * runs["other"], "fewer tokens say the same answers"


@pytest.mark.slow
def test_two_processes_search_at_once_and_go_on_where_they_stopped(loaded: LoadedRecipe) -> None:
    store = Store(loaded.folder / "workspace")
    several = searching(
        loaded,
        trials=4,
        processes=2,
        sampler="random",
        choices={"training.rank": [2, 4], "training.batch_size": [8, 16]},
    )
    report = lifecycle.search(several, store, Silent()).report
    assert report is not None
    assert len(report.attempts) == 4
    assert report.attempts[0].settings == report.own
    assert len(report.finalists) == 2
    before = len(store.find(Run))
    more = several._replace(
        recipe=several.recipe.model_copy(
            update={"search": several.recipe.search.model_copy(update={"trials": 6})},
        )
    )
    again = lifecycle.search(more, store, Silent()).report
    assert again is not None
    assert again.attempts[:4] == report.attempts
    assert len(again.attempts) == 6
    assert before <= len(store.find(Run)) <= before + 4
