"""Which version is meant where somebody names none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonneteer import deployments, versions
from sonneteer.errors import MissingError
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import ModelVersion
from sonneteer.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedRecipe:
    (tmp_path / "recipe.yaml").write_text("name: shop\ndata: {sources: rows.jsonl}\nbase: {model: couplet}\n")
    return read_recipe(tmp_path / "recipe.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def keep(store: Store, number: int, stage: str = "candidate") -> None:
    said = {"name": "shop", "base": "b", "base_fingerprint": "f", "folder": "x", "is_adapter": True, "run_id": "r"}
    more = {"id": f"shop-{number}", "number": number, "dataset_id": "d", "created_at": NOW, "stage": stage}
    store.save(ModelVersion.model_validate(said | more))


def test_the_champion_is_in_force_and_a_newer_version_is_in_question(loaded: LoadedRecipe, store: Store) -> None:
    for number, stage in ((1, "retired"), (2, "champion"), (3, "candidate")):
        keep(store, number, stage)
    assert versions.in_force(loaded, store).id == "shop-2"
    assert versions.in_question(loaded, store).id == "shop-3"


def test_a_refused_version_is_neither_in_force_nor_in_question(loaded: LoadedRecipe, store: Store) -> None:
    keep(store, 1, "champion")
    keep(store, 2)
    deployments.retire(store, store.get(ModelVersion, "shop-2"))
    assert versions.in_force(loaded, store).id == versions.in_question(loaded, store).id == "shop-1"


def test_a_version_whose_trial_was_ended_is_not_in_question_any_more(loaded: LoadedRecipe, store: Store) -> None:
    keep(store, 1, "champion")
    keep(store, 2)
    deployments.deploy(store, "shop", "a try", phase="canary", candidate_id="shop-2", canary_share=0.1)
    assert versions.in_question(loaded, store).id == "shop-2"
    deployments.roll_back(store, "shop", "slow")
    assert versions.in_question(loaded, store).id == "shop-1"


def test_where_nothing_was_deployed_it_is_the_newest(loaded: LoadedRecipe, store: Store) -> None:
    keep(store, 1)
    keep(store, 2)
    assert versions.in_force(loaded, store).id == versions.in_question(loaded, store).id == "shop-2"


def test_a_named_version_is_taken_and_an_unknown_one_is_told_with_those_that_there_are(
    loaded: LoadedRecipe, store: Store
) -> None:
    keep(store, 1, "retired")
    keep(store, 2, "champion")
    assert versions.in_force(loaded, store, "shop-1").id == versions.in_question(loaded, store, "shop-1").id == "shop-1"
    with pytest.raises(MissingError, match=r"no version 'shop-9' of shop in .* It has: shop-2, shop-1\."):
        versions.in_question(loaded, store, "shop-9")
