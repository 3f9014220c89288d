"""Training learns, stops early, keeps the best, and after any interruption ends where it would have ended."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sonneteer.errors import RecipeError
from sonneteer.models.adapters import add_adapter
from sonneteer.progress import Silent
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.checkpoint import Counters
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, Material
from sonneteer.training.loop import UNCHANGED, Training
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


def test_blocks_that_are_computed_once_more_lead_to_the_same_weights(tmp_path: Path) -> None:
    ends = []
    for state in ("off", "on"):
        run = training(tmp_path / state, SETTINGS.model_copy(update={"gradient_checkpointing": state}))
        run.go(Interrupt())
        ends.append(run.learner.weights())
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


def test_the_metrics_of_a_resumed_run_tell_each_step_once(tmp_path: Path) -> None:
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path, progress=Stop(interrupt, 5)).go(interrupt)
    training(tmp_path).go(Interrupt())
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, 13))


KILLS = 25
KILLER = """
import os, pathlib, random, signal, sys, time
from safetensors.torch import save_file
from tests.training.test_loop import SETTINGS, Interrupt, training

SETTINGS = SETTINGS.model_copy(update={"checkpoint_seconds": 0.0, "validate_every": 2, "epochs": 10.0})

def run(folder):
    child = os.fork()
    if child == 0:
        run = training(folder, SETTINGS)
        run.go(Interrupt())
        save_file(run.learner.weights(), folder / "end.safetensors")
        os._exit(0)
    return child

folder = pathlib.Path(sys.argv[1])
import torch._dynamo  # which the optimizers load late: now, for all children
begun = time.monotonic()
assert os.waitpid(run(folder / "whole"), 0)[1] == 0
seconds = time.monotonic() - begun
rng, kills, instants = random.Random(0), 0, set()
while kills < int(sys.argv[2]):
    child = run(folder / "killed")
    time.sleep(rng.uniform(0.1, 0.3) * seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"it failed on its own, with status {status}"
    kills += status == signal.SIGKILL
    seconds *= 0.8 if status == 0 else 1  # the whole run was measured on a slower moment: kill earlier
    steps = {path.name for path in (folder / "killed" / "checkpoints").glob("step-*")}
    instants |= steps
    if status == 0 or "step-00000036" in steps:
        (folder / "killed").rename(folder / f"killed-{len(list(folder.iterdir()))}")  # (nearly) done: begin anew
assert os.waitpid(run(folder / "killed"), 0)[1] == 0
for other in folder.glob("killed-*"):
    assert os.waitpid(run(other), 0)[1] == 0
print(len(instants))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_instants_ends_with_the_same_weights(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"src{os.pathsep}.", "OMP_NUM_THREADS": "1"}  # threads do not fork
    command = [sys.executable, "-W", "ignore", "-c", KILLER, str(tmp_path), str(KILLS)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5  # the kills came at many steps
    ends = [path.read_bytes() for path in tmp_path.glob("*/end.safetensors")]
    assert len(ends) >= 2
    assert len(set(ends)) == 1


def test_a_checkpoint_of_other_settings_or_examples_is_not_gone_on_with(tmp_path: Path) -> None:
    one, other = training(tmp_path), training(tmp_path)
    one.origin, other.origin = {"examples": "a"}, {"examples": "b"}
    one.go(Interrupt())
    with pytest.raises(RecipeError, match="examples: 'a' there, 'b' here"):
        other.go(Interrupt())


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 40.0, "validate_every": 1, "patience": 2, "learning_rate": 0.03})
    counters = training(tmp_path, settings).go(Interrupt())
    assert counters.step < 160
    assert counters.best_step == counters.step - 2


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def test_a_training_that_brought_nothing_says_that_the_weights_stay_as_they_were(tmp_path: Path) -> None:
    for rate, told in ((3.0, [UNCHANGED]), (0.01, [])):
        watcher = Notes()
        settings = SETTINGS.model_copy(update={"validate_every": 1, "patience": 1, "learning_rate": rate})
        training(tmp_path / str(rate), settings, watcher).go(Interrupt())
        assert watcher.told == told


def test_an_exploding_loss_stops_with_the_step_and_the_examples(tmp_path: Path) -> None:
    run = training(tmp_path)
    _name, parameter = run.learner.trained[0]
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(RecipeError, match=r"at step 1 the loss became nan.*row \d+"):
        run.go(Interrupt())


def test_a_loss_far_above_that_of_guessing_stops_the_run_too(tmp_path: Path) -> None:
    watcher = Silent()
    run = training(tmp_path, progress=watcher)

    def ruin(done: float, total: float, figures: object) -> None:
        run.learner.network.lm_head.weight.data.mul_(1e6)

    watcher.update = ruin  # type: ignore[method-assign, assignment]
    with pytest.raises(RecipeError, match=r"at step 2 the loss became \d+.*Try 1\.7e-03.*row \d+"):
        run.go(Interrupt())


def test_the_watcher_is_told_every_figure(tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    watcher = Silent()
    watcher.update = lambda done, total, figures: told.append(figures)  # type: ignore[method-assign, assignment]
    training(tmp_path, progress=watcher).go(Interrupt())
    wanted = {"loss", "validation_loss", "learning_rate", "gradient_norm", "tokens_per_second", "seconds_left"}
    assert wanted | {"unique_tokens_per_second", "learned_tokens", "memory_gb"} <= set(told[-1])
    assert told[-1]["seconds_left"] == 0 < told[0]["seconds_left"]


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
