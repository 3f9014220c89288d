"""Training learns, stops early, keeps the best, and after any interruption ends where it would have ended."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sonneteer.errors import RecipeError
from sonneteer.models.adapters import add_adapter
from sonneteer.progress import Silent
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.checkpoint import Counters
from sonneteer.training.lessons import Lesson
from sonneteer.training.loop import Learner, Material, Training
from sonneteer.training.objectives import Imitation
from sonneteer.training.sampler import Sampler
from sonneteer.training.watch import Interrupt, read_metrics

from ..models.networks import network

SETTINGS = TrainingSettings(
    precision="float32",
    learning_rate=5e-3,
    epochs=3,
    batch_size=4,
    micro_batch_tokens=64,
    validate_every=3,
    dropout=0.1,
    patience=None,
)


def material(count: int = 16) -> Material:
    """Sequences that count upwards: easily learned."""
    rng = random.Random(0)
    lessons = []
    for _ in range(count + 4):
        first = rng.choice([10, 60, 110])
        ids = [5, 6, *range(first, first + 12)]
        lessons.append(Lesson([Rendered(ids, [0.0] * 4 + [1.0] * 10)]))
    return Material(lessons[:count], lessons[count:], [f"row {i}" for i in range(count)])


class Stop(Silent):
    """Asks to stop at a step, as Ctrl-C does."""

    def __init__(self, interrupt: Interrupt, step: int) -> None:
        self._interrupt, self._step = interrupt, step

    def update(self, done: float, total: float, figures: object = None) -> None:
        self._interrupt.is_wanted = done == self._step


def training(folder: Path, settings: TrainingSettings = SETTINGS, progress: object = None) -> Training:
    model = network("qwen3")
    add_adapter(model, settings, seed=0)
    torch.manual_seed(0)
    learner = Learner(model, Imitation(), settings)
    sampler = Sampler(16, settings.batch_size, settings.epochs, seed=0)
    return Training(learner, material(), sampler, folder, progress or Silent())


def test_training_lowers_the_loss_and_keeps_the_best_weights(tmp_path: Path) -> None:
    run = training(tmp_path, SETTINGS.model_copy(update={"epochs": 20.0, "learning_rate": 0.03}))
    counters = run.go(Interrupt())
    assert counters.best_loss is not None
    assert counters.first_loss is not None
    assert counters.best_loss < counters.first_loss - 0.2
    assert run.learner.validation_loss(material().validation) == pytest.approx(counters.best_loss, rel=1e-6)


def test_an_interrupted_run_ends_with_the_same_weights_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole")
    counters = whole.go(Interrupt())
    for step in (1, 4, 5, 9):
        interrupt = Interrupt()
        with pytest.raises(KeyboardInterrupt):
            training(tmp_path / "parts", progress=Stop(interrupt, step)).go(interrupt)
    last = training(tmp_path / "parts")
    resumed = last.go(Interrupt())
    for name, weight in whole.learner.weights().items():
        assert torch.equal(weight, last.learner.weights()[name])
    assert resumed.model_dump(exclude={"seconds"}) == counters.model_dump(exclude={"seconds"})


def test_the_metrics_of_a_resumed_run_tell_each_step_once(tmp_path: Path) -> None:
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path, progress=Stop(interrupt, 5)).go(interrupt)
    training(tmp_path).go(Interrupt())
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, 13))


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_instants_ends_with_the_same_weights(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from tests.training.test_loop import training, Interrupt;"
        "run = training(pathlib.Path(sys.argv[1])); run.go(Interrupt());"
        "from safetensors.torch import save_file; save_file(run.learner.weights(), sys.argv[1] + '/end.safetensors')"
    )
    environment = {**os.environ, "PYTHONPATH": f"src{os.pathsep}."}
    command = [sys.executable, "-c", script]
    subprocess.run([*command, str(tmp_path / "whole")], env=environment, check=True)
    rng = random.Random(0)
    start = time.monotonic()
    for _ in range(6):
        process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment)
        time.sleep(rng.uniform(0.5, 1.2) * 8)
        process.kill()
        process.wait()
    assert time.monotonic() - start < 600
    subprocess.run([*command, str(tmp_path / "killed")], env=environment, check=True)
    assert (tmp_path / "whole/end.safetensors").read_bytes() == (tmp_path / "killed/end.safetensors").read_bytes()


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 40.0, "validate_every": 1, "patience": 2, "learning_rate": 0.03})
    counters = training(tmp_path, settings).go(Interrupt())
    assert counters.step < 160
    assert counters.best_step == counters.step - 2


def test_an_exploding_loss_stops_with_the_step_and_the_examples(tmp_path: Path) -> None:
    run = training(tmp_path)
    _name, parameter = run.learner.trained[0]
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(RecipeError, match=r"at step 1 the loss became nan.*row \d+"):
        run.go(Interrupt())


def test_micro_batches_do_not_change_the_step() -> None:
    steps = []
    for tokens in (16, 10_000):
        model = network("llama").requires_grad_(True)
        learner = Learner(model, Imitation(), SETTINGS.model_copy(update={"micro_batch_tokens": tokens}))
        steps.append(learner.step(material().train, 1e-3))
    assert steps[0].loss == pytest.approx(steps[1].loss, rel=1e-5)
    assert steps[0].gradient_norm == pytest.approx(steps[1].gradient_norm, rel=1e-5)


def test_shared_beginnings_are_computed_once(tmp_path: Path) -> None:
    counters: Counters = training(tmp_path).go(Interrupt())
    assert counters.unique_tokens < counters.tokens
