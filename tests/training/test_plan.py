"""What a plan counts is what a run counts, its estimates follow past runs, and what cannot fit names the setting."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from sonneteer import lifecycle
from sonneteer.errors import MachineError
from sonneteer.models import load
from sonneteer.models.hardware import is_short, matrix_speed
from sonneteer.profile import machine
from sonneteer.progress import Silent
from sonneteer.recipe import Recipe, read_recipe
from sonneteer.records import DatasetVersion, Rendered, Run
from sonneteer.store import Store
from sonneteer.training.draft import Draft, Tokens, as_learned
from sonneteer.training.lessons import Lesson, Material
from sonneteer.training.plan import Plan, Surroundings, estimate

from ..models.networks import saved

RECIPE = Recipe.model_validate({"name": "demo", "data": {"sources": [{"path": "a.jsonl"}]}})
TOKENS = Tokens(naive=2000, unique=1000, learned=500, largest=100, steps=30, epoch_steps=10)
DRAFT = Draft(
    tokens=TOKENS,
    parameters=1_000_000,
    trained_parameters=1000,
    fixed_gb=1.0,
    row_gb=0.01,
    recomputed_row_gb=0.01,
    work_tflop=10.0,
    recomputed_tflop=0.0,
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
        expected_memory_gb=DRAFT.memory_gb(),
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
    assert plan.memory_gb.low < plan.memory_gb.value == DRAFT.memory_gb() < plan.memory_gb.high
    assert plan.seconds.low < plan.seconds.value < plan.seconds.high
    assert matrix_speed(torch.device("cpu"), seconds=0.001) > 0


def test_too_much_memory_is_refused_with_the_setting_to_change() -> None:
    fitting = estimate(DRAFT, RECIPE, around(100.0))
    assert not fitting.problems
    assert not fitting.warnings
    refused = estimate(DRAFT.model_copy(update={"row_gb": 1.0, "recomputed_row_gb": 1.0}), RECIPE, around(20.0))
    assert "Memory: at the least" in refused.problems[0]
    assert "Set training.micro_batch_tokens and data.max_tokens to 22" in refused.problems[0]
    long_batches = DRAFT.model_copy(update={"tokens": TOKENS.model_copy(update={"largest": 4000})})
    assert "Set training.micro_batch_tokens to" in estimate(long_batches, RECIPE, around(20.0)).problems[0]
    full = RECIPE.model_copy(update={"training": RECIPE.training.model_copy(update={"method": "full"})})
    huge = DRAFT.model_copy(update={"fixed_gb": 50.0})
    assert "Set training.method to 'lora'" in estimate(huge, full, around(20.0)).problems[0]
    assert "choose a smaller base.model" in estimate(huge, RECIPE, around(20.0)).problems[0]


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


# What cannot fit does not begin -------------------------------------------------------------------


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with next to no memory."""
    monkeypatch.setattr("sonneteer.models.hardware.profile.memory_gb", lambda: 0.1)


@pytest.mark.usefixtures("cramped")
@pytest.mark.parametrize("begin", [lifecycle.train, lifecycle.run, lifecycle.search])
def test_what_the_plan_refuses_does_not_begin_unless_the_recipe_insists(
    begin: object, work: tuple[lifecycle.LoadedRecipe, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store = work
    assert callable(begin)
    refused = lifecycle.plan(recipe, store, Silent()).problems[0]
    with monkeypatch.context() as patch:
        patch.setattr(load.AutoModelForCausalLM, "from_pretrained", None)  # nothing may open the weights
        with pytest.raises(MachineError) as caught:
            begin(recipe, store, Silent())
    assert refused in str(caught.value)
    assert "training.start_anyway: true" in str(caught.value)


@pytest.mark.usefixtures("cramped")
def test_who_insists_trains_all_the_same_with_the_same_name(work: tuple[lifecycle.LoadedRecipe, Store]) -> None:
    recipe, store = work
    insisting = read_recipe(recipe.path, ["--training.start_anyway", "true", "--training.max_steps", "1"])
    assert lifecycle.train(insisting, store, Silent()).number == 1
    relaxed = read_recipe(recipe.path, ["--training.max_steps", "1"])
    assert lifecycle.train(relaxed, store, Silent()).number == 1, "it is the run that was done"


def test_trials_at_once_share_the_memory(
    work: tuple[lifecycle.LoadedRecipe, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store = work
    monkeypatch.setattr("sonneteer.models.hardware.profile.memory_gb", lambda: 1.2)
    assert not lifecycle.plan(recipe, store, Silent()).problems
    crowded = read_recipe(recipe.path, ["--search.processes", "8"])
    with pytest.raises(MachineError, match=r"this machine has 0\.1 GB|this machine has 0\.2 GB"):
        lifecycle.search(crowded, store, Silent())


# What is counted ----------------------------------------------------------------------------------


def test_auto_computes_blocks_once_more_only_where_memory_may_not_suffice() -> None:
    spare = DRAFT.model_copy(update={"row_gb": 0.1, "recomputed_row_gb": 0.01, "recomputed_tflop": 3.0})
    wide, narrow = estimate(spare, RECIPE, around(100.0)), estimate(spare, RECIPE, around(5.0))
    assert (wide.recomputes, narrow.recomputes) == (False, True)
    assert narrow.memory_gb.value == pytest.approx(1.0 + 100 * 0.01)
    assert (wide.problems, narrow.problems, narrow.warnings) == ((), (), ())
    off = RECIPE.training.model_copy(update={"gradient_checkpointing": "off"})
    kept = estimate(spare, RECIPE.model_copy(update={"training": off}), around(5.0))
    assert not kept.recomputes
    assert "Set training.gradient_checkpointing to 'auto'" in kept.problems[0]


def plan_of(work: tuple[lifecycle.LoadedRecipe, Store], *settings: str) -> Plan:
    return lifecycle.plan(read_recipe(work[0].path, settings), work[1], Silent())


def test_each_further_network_counts(work: tuple[lifecycle.LoadedRecipe, Store]) -> None:
    alone = plan_of(work)
    taught = plan_of(work, "--training.objective", "distillation", "--training.distillation.teacher", "base")
    assert taught.memory_gb.value > alone.memory_gb.value
    assert taught.seconds.value > 0
    full = plan_of(work, "--training.method", "full")
    anchored = plan_of(work, "--training.method", "full", "--training.anchor", "0.1")
    assert anchored.memory_gb.value - full.memory_gb.value > full.parameters * 4 / 1e9 * 0.9
    short = plan_of(work, "--training.precision", "bfloat16")
    assert short.memory_gb.value <= alone.memory_gb.value


def test_answers_that_will_be_drawn_are_counted_as_long_as_they_may_be(
    work: tuple[lifecycle.LoadedRecipe, Store],
) -> None:
    drawn = plan_of(
        work, "--training.objective", "grpo", "--training.reward.answers", "3", "--training.reward.max_answer_tokens",
        "7", "--training.batch_size", "2",
    )  # fmt: skip
    assert drawn.tokens.learned == 3 * 7 * work[1].find(DatasetVersion)[0].splits["train"].examples
    assert drawn.tokens.unique < drawn.tokens.naive, "a question is read once for its answers"


def test_what_only_serves_for_comparison_is_not_counted_as_learned() -> None:
    settings = RECIPE.training.model_copy(update={"objective": "kto"})
    lessons = [Lesson([Rendered([1, 2], [0, 1]), Rendered([1, 3, 4], [0, 1, 1])], (True, None))]
    planned = as_learned(Material(lessons, [], ["a"]), settings)
    assert [len(lesson.sequences) for lesson in planned.train] == [1]


@pytest.mark.parametrize("kind", [("cpu", "auto", False), ("cuda", "auto", True), ("cuda", "float32", False)])
def test_cards_compute_in_bfloat16(kind: tuple[str, str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonneteer.profile.has_bfloat16_units", lambda: False)
    device, precision, short = kind
    assert is_short(precision, torch.device(device)) is short  # type: ignore[arg-type]
