"""How much a model learned by heart: what it loses on examples that watched, minus what it loses on learned ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from sonneteer.records import Interval

CONFIDENCE = 0.95


class Loss(NamedTuple):
    """One example's: the sum of its losses, and what it counts. The loss of many is the ratio of their sums."""

    total: float
    weight: float


class _Mean(NamedTuple):
    value: float
    variance: float
    """Of the mean, linearised as that of a ratio (Cochran 1977, section 2.11)."""
    examples: int


def gap_between(watched: Sequence[Loss], learned: Sequence[Loss]) -> Interval | None:
    """The difference of two weighted means with Welch's interval (1947). None for fewer than two examples on a side,
    or where all lose the same, so that chance is unknown."""
    if min(len(watched), len(learned)) < 2:
        return None
    one, other = _mean(watched), _mean(learned)
    variance = one.variance + other.variance
    if variance <= 0:
        return None
    freedom = variance**2 / sum(side.variance**2 / (side.examples - 1) for side in (one, other))
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * variance**0.5
    value = one.value - other.value
    return Interval(value=value, low=value - half, high=value + half)


def _mean(losses: Sequence[Loss]) -> _Mean:
    totals, weights = np.array(losses, dtype=float).T
    value = totals.sum() / weights.sum()
    away = (totals - value * weights) / weights.mean()
    return _Mean(float(value), float(away.var(ddof=1)) / len(losses), len(losses))
