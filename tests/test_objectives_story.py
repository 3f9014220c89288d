"""Preferences from raw rows to a judged model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sonneteer import lifecycle
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Example, ModelVersion, Run
from sonneteer.store import Store
from sonneteer.training.watch import read_metrics

from .models.networks import SHAPE, network, saved, tokenizer

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


def test_a_student_follows_its_teacher(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"prompt": f"Say {i}", "completion": "Good day."} for i in range(40)]
    loaded(tmp_path, "imitation", rows)
    teacher = network("llama", seed=3)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(3)  # a random network that has opinions
    teacher.save_pretrained(tmp_path / "teacher")
    tokenizer().save_pretrained(tmp_path / "teacher")
    words = ["--training.objective=distillation", "--training.distillation.teacher=teacher", "--training.method=full"]
    run = trained(read_recipe(tmp_path / "recipe.yaml", words), Store(tmp_path / "w"))
    assert run.first_validation_loss is not None
    assert run.best_validation_loss is not None
    assert run.best_validation_loss < 0.7 * run.first_validation_loss


def vowels(example: Example, answer: str) -> float:
    """A user's own idea of a good answer."""
    return sum(answer.lower().count(letter) for letter in "aeiou") / 12


def test_grpo_raises_the_reward_of_a_user_s_own_function(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"prompt": f"Say {i}", "completion": "Good day."} for i in range(24)]
    loaded(tmp_path, "imitation", rows)
    words = ["--training.objective=grpo", "--training.reward.kind=python", "--training.reward.max_answer_tokens=6"]
    words += ["--training.reward.answers=4", "--training.epochs=15", "--training.validate_every=8"]
    words += ["--training.method=full", "--training.learning_rate=0.005"]
    recipe = read_recipe(tmp_path / "recipe.yaml", words)
    with pytest.raises(RecipeError, match="needs a function from Python"):
        lifecycle.train(recipe, Store(tmp_path / "without"), Silent())
    store = Store(tmp_path / "w")
    run = trained(recipe._replace(reward=vowels), store)
    lines = read_metrics(store.folder(run.id) / "metrics.jsonl")
    rewards = [line["reward"] for line in lines if "reward" in line]
    assert mean(rewards[-3:]) > mean(rewards[:3]) + 0.03
    assert run.best_validation_loss is not None
    assert run.first_validation_loss is not None
    assert run.best_validation_loss < run.first_validation_loss


@pytest.mark.parametrize("weights", ["4bit", "8bit"])
def test_an_adapter_is_trained_beside_a_quantised_base(tmp_path: Path, weights: str) -> None:
    loaded(tmp_path, "dpo", PAIRS)
    wide = {"hidden_size": 128, "intermediate_size": 256}  # blocks of 64 weights share a scale
    LlamaForCausalLM(LlamaConfig(**(SHAPE | wide))).save_pretrained(tmp_path / "base")
    recipe = read_recipe(tmp_path / "recipe.yaml", [f"--training.base_weights={weights}", "--training.epochs=1"])
    store = Store(tmp_path / "w")
    run = store.get(Run, lifecycle.train(recipe, store, Silent()).run_id)
    assert run.best_validation_loss is not None
    assert run.best_validation_loss < 0.6
