"""The mean of the weights of several validations is kept where it does better, also by a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sonneteer.training.averaged import Averaging
from sonneteer.training.watch import Interrupt

from .test_loop import SETTINGS, Stop, material, training

AVERAGED = SETTINGS.model_copy(
    update={
        "averaged_checkpoints": 9,
        "learning_rate": 0.05,
        "averaged": "last",
        "schedule": "constant",
        "dropout": 0.0,
        "epochs": 2.0,
    }
)


def test_the_best_or_the_last_ones_are_chosen() -> None:
    candidates = [(0, 5.0), (10, 2.0), (20, 1.0), (30, 3.0), (40, 1.0)]
    folder = Path()
    assert Averaging(folder, 3, "best").chosen(candidates) == [(10, 2.0), (20, 1.0), (40, 1.0)]
    assert Averaging(folder, 3, "last").chosen(candidates) == [(20, 1.0), (30, 3.0), (40, 1.0)]


@pytest.mark.parametrize("which", ["best", "last"])
def test_the_mean_is_that_of_the_chosen_steps_and_only_their_files_stay(tmp_path: Path, which: str) -> None:
    averaging = Averaging(tmp_path, 2, which)  # type: ignore[arg-type]
    candidates: list[tuple[int, float]] = []
    for step, loss in ((0, 5.0), (10, 1.0), (20, 4.0), (30, 3.0)):
        candidates = averaging.keep([*candidates, (step, loss)], {"w": torch.full((2,), float(step))})
    steps = {"best": [10, 30], "last": [20, 30]}[which]
    assert [step for step, _ in candidates] == steps
    assert len(list(tmp_path.iterdir())) == 2
    assert averaging.mean(candidates)["w"].tolist() == [sum(steps) / 2] * 2


def test_a_mean_that_validates_better_is_kept_and_named(tmp_path: Path) -> None:
    run = training(tmp_path, AVERAGED)
    counters = run.go(Interrupt())
    assert counters.averaged_steps == (0, 3, 6, 8)
    assert counters.best_loss is not None
    single = dict(counters.candidates)
    assert counters.best_loss < min(single.values())
    assert run.learner.loss_on(material().validation) == pytest.approx(counters.best_loss, rel=1e-6)
    files = [load_file(path) for path in sorted((tmp_path / "averaged").iterdir())]
    for name, weight in run.learner.weights().items():
        torch.testing.assert_close(weight, torch.stack([file[name] for file in files]).mean(0))


def test_a_mean_that_does_worse_is_not_kept(tmp_path: Path) -> None:
    steady = AVERAGED.model_copy(update={"learning_rate": 1e-3, "averaged": "best"})
    run = training(tmp_path, steady)
    counters = run.go(Interrupt())
    assert counters.averaged_steps == ()
    assert counters.best_step is not None
    assert run.learner.loss_on(material().validation) == pytest.approx(dict(counters.candidates)[counters.best_step])


def test_an_interrupted_run_keeps_the_same_mean(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole", AVERAGED)
    counters = whole.go(Interrupt())
    for step in (2, 4, 7):
        interrupt = Interrupt()
        with pytest.raises(KeyboardInterrupt):
            training(tmp_path / "parts", AVERAGED, Stop(interrupt, step)).go(interrupt)
    last = training(tmp_path / "parts", AVERAGED)
    assert last.go(Interrupt()).averaged_steps == counters.averaged_steps
    for name, weight in whole.learner.weights().items():
        assert torch.equal(weight, last.learner.weights()[name])
