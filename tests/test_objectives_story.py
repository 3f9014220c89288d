"""Preferences from raw rows to a judged model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sonneteer import lifecycle
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import ModelVersion, Run
from sonneteer.store import Store

from .models.networks import saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl, validation_share: 0.3}
base: {model: base}
training: {objective: OBJECTIVE, learning_rate: 0.01, epochs: 3, batch_size: 8, rank: 4, preference: {beta: 1}}
evaluation: {max_answer_tokens: 8, max_examples: 4}
"""


def loaded(folder: Path, objective: str, rows: list[dict[str, object]]) -> LoadedRecipe:
    saved("llama", folder / "base")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE.replace("OBJECTIVE", objective))
    return read_recipe(folder / "recipe.yaml")


def trained(recipe: LoadedRecipe, store: Store) -> Run:
    lifecycle.run(recipe, store, Silent())
    (model,) = store.find(ModelVersion)
    return store.get(Run, model.run_id)


PAIRS: list[dict[str, object]] = [
    {"prompt": f"Say {i}", "chosen": "Good day to you.", "rejected": "Go away."} for i in range(40)
]


def test_dpo_starts_at_its_loss_of_an_untrained_model_and_learns_the_preference(tmp_path: Path) -> None:
    recipe, store = (
        loaded(tmp_path, "dpo", PAIRS),
        Store(tmp_path / "w"),
    )
    run = trained(recipe, store)
    assert run.first_validation_loss == pytest.approx(math.log(2), rel=1e-4)
    assert run.best_validation_loss is not None
    assert run.best_validation_loss < 0.3
    assert (store.folder(run.id) / "reference-train.safetensors").exists()


def test_kto_learns_from_answers_that_were_liked_or_not(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": f"Say {i}", "completion": "Good day to you." if i % 2 else "Go away.", "label": i % 2 == 1}
        for i in range(40)
    ]
    run = trained(loaded(tmp_path, "kto", rows), Store(tmp_path / "w"))
    assert run.first_validation_loss == pytest.approx(0.5, rel=1e-4)
    assert run.best_validation_loss is not None
    assert run.best_validation_loss < 0.47
