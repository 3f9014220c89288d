"""Intervals that chance allows: at each end the wider of two bootstrap intervals.

BCa (Efron 1987; DiCiccio & Efron 1996) adapts to any metric but is too sure of itself with few or skewed figures;
the studentised bootstrap (bootstrap-t, Efron 1981; here on the jackknife's influence values) is good exactly there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from sonneteer.records import Interval

Values = NDArray[np.float64]
Statistic = Callable[[Values], Values]
"""From how often each unit is drawn (R, count) to figures (R,)."""


class Bootstrap(NamedTuple):
    """How intervals are made."""

    confidence: float
    resamples: int
    seed: int


class Ends(NamedTuple):
    """Where an interval begins and ends."""

    low: float
    high: float


SHARE = Ends(0.0, 1.0)
"""Between which ends a share lies."""


def interval(statistic: Statistic, count: int, bootstrap: Bootstrap, bounds: Ends | None = None) -> Interval:
    """Interval of a statistic of `count` independent units, that lies within `bounds` if there are some.

    With one unit nothing can be said: the interval is infinite, or as wide as the bounds.
    """
    widest = bounds or Ends(float("-inf"), float("inf"))
    value = float(statistic(np.ones((1, count)))[0])
    if count < 2:
        return Interval(value=value, low=widest.low, high=widest.high)
    draws = _draws(count, bootstrap.resamples, bootstrap.seed)
    resampled = statistic(draws)
    if np.ptp(resampled) < 1e-12 * max(1.0, abs(value)):
        return _of_equals(value, count, bootstrap.confidence, bounds)
    left_out = statistic(np.ones((count, count)) - np.eye(count))
    one = bca(value, resampled, left_out, bootstrap.confidence)
    other = studentised(value, draws, left_out, bootstrap.confidence)
    low, high = min(one.low, other.low), max(one.high, other.high)
    return Interval(value=value, low=max(low, widest.low), high=min(high, widest.high))


def _of_equals(value: float, count: int, confidence: float, bounds: Ends | None) -> Interval:
    """Where units are all alike, others may differ: with this confidence not more than the share of which none would
    have been met so often (Clopper & Pearson 1934), and none further than to the bounds.

    Resampling what is all alike cannot show that. Without bounds the interval is the figure alone.
    """
    unseen = 1 - ((1 - confidence) / 2) ** (1 / count)
    low, high = bounds or Ends(value, value)
    return Interval(value=value, low=value - unseen * (value - low), high=value + unseen * (high - value))


@lru_cache(maxsize=2)
def _draws(count: int, resamples: int, seed: int) -> Values:
    """How often each unit is drawn (resamples, count): the same for all figures of a report."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)


def bca(value: float, resampled: Values, left_out: Values, confidence: float) -> Ends:
    """Quantiles of the resamples, corrected for bias and for a spread that changes with the figure."""
    below = (np.sum(resampled < value) + np.sum(resampled == value) / 2) / len(resampled)
    bias = norm.ppf(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled)))
    away = left_out.mean() - left_out
    spread = np.sum(away**2)
    acceleration = np.sum(away**3) / (6 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + norm.ppf(tail)
        slope = max(1 - acceleration * z, 0.1)  # beyond it lies no resample anyway
        ends.append(float(np.quantile(resampled, norm.cdf(bias + z / slope))))
    return Ends(*ends)


def studentised(value: float, draws: Values, left_out: Values, confidence: float) -> Ends:
    """Each resample's distance from the figure, measured in that resample's own spread."""
    count = len(left_out)
    influence = (count - 1) * (left_out.mean() - left_out)
    spread = np.sqrt(influence.var())
    means = draws @ influence / count
    spreads = np.sqrt(np.maximum(draws @ influence**2 / count - means**2, 0))
    # A resample that drew nearly equal figures has no spread of its own.
    distances = means / np.maximum(spreads, spread / 3 + 1e-300)
    low, high = np.quantile(distances, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Ends(float(value - high * spread), float(value - low * spread))
