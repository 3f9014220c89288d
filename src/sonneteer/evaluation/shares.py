"""Intervals of shares, of a difference of shares, and of the area under a curve: each by a published formula."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm, rankdata

from sonneteer.records import Interval

Values = NDArray[np.float64]


def wilson(hits: int, count: int, confidence: float) -> Interval:
    """A share with Wilson's score interval (1927). Of nothing: 0, and nothing is excluded."""
    if not count:
        return Interval(value=0.0, low=0.0, high=1.0)
    z = float(norm.ppf((1 + confidence) / 2))
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / count / 4)
    low, high = middle - half if hits else 0.0, middle + half if hits < count else 1.0
    return Interval(value=share, low=max(0.0, low), high=min(1.0, high))


def clopper_pearson(hits: int, count: int, confidence: float) -> Interval:
    """A share with the exact interval (Clopper and Pearson 1934): never too sure."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return Interval(value=hits / count, low=low, high=high)


def difference(one: Interval, other: Interval) -> Interval:
    """One share minus another, by their score intervals (Newcombe 1998, method 10)."""
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Interval(value=value, low=low, high=high)


def auc(members: Values, others: Values, confidence: float) -> Interval:
    """Chance that a member's score is above another's, with DeLong's interval (1988); ties count half."""
    both = rankdata(np.concatenate([members, others]))
    above = (both[: len(members)] - rankdata(members)) / len(others)
    below = (both[len(members) :] - rankdata(others)) / len(members)
    value = float(above.mean())
    spread = math.sqrt(_variance(above) / len(members) + _variance(below) / len(others))
    half = float(norm.ppf((1 + confidence) / 2)) * spread
    return Interval(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def _variance(values: Values) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 1.0
