"""Find a learning rate in a minute: raise it step by step until the loss breaks away (Smith, arXiv 1506.01186)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from sonneteer.progress import Progress
from sonneteer.records import Record
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Material
from sonneteer.training.sampler import Sampler

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 60
SMOOTH = 3  # losses on either side whose median stands for one
BROKEN_AWAY = 1.3  # times the best loss
BELOW = 10.0  # how far below the lowest loss the peak of a whole run may lie


class RangeTest(Record):
    """Losses at rising step sizes, and the step size that follows."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    learning_rate: float


class Pace(NamedTuple):
    """How large the batches are and how often the data is seen."""

    batch_size: int
    epochs: float


def range_test(learner: Learner, material: Material, sampler: Sampler, progress: Progress) -> RangeTest:
    """Train with step sizes from 10^-6 upwards until the loss breaks away. Spoils the learner's weights."""
    rates, losses = [], []
    for number in range(STEPS):
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
        batch = material.lessons(sampler.batch(number % sampler.steps + 1))
        done = learner.step(batch, rate, number + 1)
        if not math.isfinite(done.loss) or not math.isfinite(done.gradient_norm):
            break
        rates.append(rate)
        losses.append(done.loss)
        progress.update(number + 1, STEPS, {"loss": done.loss, "learning_rate": rate})
        if smoothed(losses)[-1] > BROKEN_AWAY * min(smoothed(losses)):
            break
    return RangeTest(rates=tuple(rates), losses=tuple(losses), learning_rate=chosen_rate(rates, losses))


def chosen_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the step size at which the loss was lowest, with two digits."""
    even = smoothed(losses)
    return float(f"{rates[even.index(min(even))] / BELOW:.1e}")


def smoothed(losses: Sequence[float]) -> list[float]:
    """Medians of neighbours: batches differ."""
    return [statistics.median(losses[max(0, i - SMOOTH) : i + SMOOTH + 1]) for i in range(len(losses))]


def sane_pace(examples: int) -> Pace:
    """Batches of 4 to 32 with thirty steps an epoch where there are enough examples; about 200 steps, 1 to 5 epochs."""
    batch_size = next((size for size in (32, 16, 8) if examples >= 30 * size), 4)
    steps = max(1, math.ceil(examples / batch_size))
    return Pace(batch_size, float(min(5, max(1, round(200 / steps)))))
