"""What a plan counts is what a run counts, its estimates follow past runs, and what cannot fit names the setting."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from sonneteer import lifecycle
from sonneteer.models import load
from sonneteer.profile import machine
from sonneteer.progress import Silent
from sonneteer.recipe import Recipe, read_recipe
from sonneteer.records import Run
from sonneteer.store import Store
from sonneteer.training.plan import Draft, Surroundings, Tokens, estimate, matrix_speed

from ..models.networks import saved

RECIPE = Recipe.model_validate({"name": "demo", "data": {"sources": [{"path": "a.jsonl"}]}})
TOKENS = Tokens(naive=2000, unique=1000, learned=500, largest=100, steps=30, epoch_steps=10)
DRAFT = Draft(
    tokens=TOKENS,
    parameters=1_000_000,
    trained_parameters=1000,
    fixed_gb=1.0,
    row_gb=0.01,
    work_tflop=10.0,
    checkpoint_gb=0.1,
)


def past(memory_gb: float, seconds: float, **changes: object) -> Run:
    """A run of the very same size, with what it took."""
    run = Run(
        id="r",
        name="demo",
        status="done",
        recipe={},
        dataset_id="d",
        base="b",
        base_fingerprint="f",
        machine=machine(),
        started_at=datetime.now(UTC),
        seconds=seconds,
        peak_memory_gb=memory_gb,
        expected_memory_gb=DRAFT.memory_gb,
        work_tflop=DRAFT.work_tflop,
        parameters=DRAFT.parameters,
    )
    return run.model_copy(update=changes)


def around(available_gb: float = 100.0, runs: tuple[Run, ...] = (), free_disk_gb: float = 100.0) -> Surroundings:
    return Surroundings(machine(), available_gb, free_disk_gb, runs)


def test_past_runs_on_this_machine_correct_the_plan() -> None:
    plan = estimate(DRAFT, RECIPE, around(runs=(past(3.0, 100.0), past(4.0, 50.0), past(5.0, 200.0))))
    assert plan.memory_gb.value == pytest.approx(4.0)
    assert plan.memory_gb.low < 3.0 < 5.0 < plan.memory_gb.high
    assert plan.seconds.value == pytest.approx(100.0)
    assert plan.seconds.low < 50 < 200 < plan.seconds.high
    assert plan.runs == 3


def test_runs_on_other_machines_do_not_count() -> None:
    elsewhere = past(3.0, 1.0, machine=machine().model_copy(update={"processor": "another"}))
    assert estimate(DRAFT, RECIPE, around(runs=(elsewhere,))).runs == 0


def test_without_past_runs_the_range_is_wide_and_the_speed_measured() -> None:
    plan = estimate(DRAFT, RECIPE, around())
    assert plan.memory_gb.low < plan.memory_gb.value == DRAFT.memory_gb < plan.memory_gb.high
    assert plan.seconds.low < plan.seconds.value < plan.seconds.high
    assert matrix_speed(size=32, seconds=0.01) > 0


def test_too_much_memory_is_refused_with_the_setting_to_change() -> None:
    fitting = estimate(DRAFT, RECIPE, around(100.0))
    assert not fitting.problems
    assert not fitting.warnings
    refused = estimate(DRAFT.model_copy(update={"row_gb": 1.0}), RECIPE, around(20.0))
    assert "Memory: at the least" in refused.problems[0]
    assert "Set training.micro_batch_tokens and data.max_tokens to 22" in refused.problems[0]
    long_batches = DRAFT.model_copy(update={"tokens": TOKENS.model_copy(update={"largest": 4000})})
    assert "Set training.micro_batch_tokens to" in estimate(long_batches, RECIPE, around(20.0)).problems[0]
    full = RECIPE.model_copy(update={"training": RECIPE.training.model_copy(update={"method": "full"})})
    huge = DRAFT.model_copy(update={"fixed_gb": 50.0})
    assert "Set training.method to 'lora'" in estimate(huge, full, around(20.0)).problems[0]
    assert "Choose a smaller base.model" in estimate(huge, RECIPE, around(20.0)).problems[0]


def test_what_may_not_fit_is_a_warning_and_a_full_disk_a_problem() -> None:
    plan = estimate(DRAFT, RECIPE, around(2.5, free_disk_gb=0.01))
    assert "Memory may run out" in plan.warnings[0]
    assert plan.problems[0].startswith("Disk:")


@pytest.fixture
def work(tmp_path: Path) -> tuple[lifecycle.LoadedRecipe, Store]:
    """A recipe whose examples begin alike, and an empty workspace."""
    saved("qwen3", tmp_path / "base")
    system = {"role": "system", "content": "You answer briefly and kindly, always."}
    rows = [
        [system, {"role": "user", "content": f"Say {i}"}, {"role": "assistant", "content": f"Good {i}."}]
        for i in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(
        "name: tiny\ndata: {sources: rows.jsonl}\nbase: {model: base}\ntraining: {rank: 4, epochs: 2, patience: null}\n"
    )
    return read_recipe(tmp_path / "recipe.yaml"), Store(tmp_path / "workspace")


def test_what_is_planned_without_weights_is_what_the_run_does(
    work: tuple[lifecycle.LoadedRecipe, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store = work
    with monkeypatch.context() as patch:
        patch.setattr(load.AutoModelForCausalLM, "from_pretrained", None)  # nothing may open the weights
        plan = lifecycle.plan(recipe, store, Silent())
    lifecycle.train(recipe, store, Silent())
    (run,) = store.find(Run)
    assert (plan.tokens.steps, plan.parameters, plan.trained_parameters) == (
        run.steps,
        run.parameters,
        run.trained_parameters,
    )
    assert plan.tokens.naive * 2 == run.tokens
    assert plan.tokens.unique * 2 == pytest.approx(run.unique_tokens, rel=0.1)
    assert plan.tokens.learned * 2 == run.learned_tokens
    assert plan.tokens.sharing > 1.5
    assert (plan.runs, lifecycle.plan(recipe, store, Silent()).runs) == (0, 1)


def test_the_formula_grows_with_what_is_trained(work: tuple[lifecycle.LoadedRecipe, Store]) -> None:
    recipe, store = work
    lora = lifecycle.plan(recipe, store, Silent())
    full = read_recipe(recipe.path, ["--training.method", "full"])
    assert lifecycle.plan(full, store, Silent()).disk_gb > lora.disk_gb
    assert lifecycle.plan(full, store, Silent()).trained_parameters > lora.trained_parameters


def test_the_price_table_is_written_to_be_filled_in_and_then_used(work: tuple[lifecycle.LoadedRecipe, Store]) -> None:
    recipe, store = work
    assert lifecycle.plan(recipe, store, Silent()).costs == {"this machine": None}
    prices = store.root / "prices.yaml"
    prices.write_text(prices.read_text().replace("null", "3600") + "  faster: {price_per_hour: 7200, speed: 4}\n")
    plan = lifecycle.plan(recipe, store, Silent())
    assert plan.costs["this machine"] == pytest.approx(plan.seconds.value)
    assert plan.costs["faster"] == pytest.approx(plan.seconds.value / 2)
    assert plan.currency == "EUR"


def test_an_empty_network_has_the_shapes_of_the_real_one(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path / "base")
    empty = load.empty_network("base", folder)
    real = load.open_folder("base", folder).network
    assert {p.device for p in empty.parameters()} == {torch.device("meta")}
    assert [(n, p.shape) for n, p in empty.named_parameters()] == [(n, p.shape) for n, p in real.named_parameters()]
