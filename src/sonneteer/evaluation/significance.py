"""Whether a difference could be chance: tests of paired figures, their correction for many looks, and what a test set
can see at all.

What is tested are clusters of examples that belong together, never single examples that are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, t, wilcoxon

Values = NDArray[np.float64]
Name = str

POWER = 0.8
"""How surely a difference of the stated size would be seen."""
FEWEST_FOR_RANKS = 6
"""With fewer differences than this, no ranking could be significant at 95 %."""


def randomisation(gain_of: Callable[[NDArray[np.bool_]], Values], count: int, draws: int, seed: int) -> float:
    """Two-sided p-value of the paired randomisation test (Fisher 1935; Noreen 1989), exact for any metric.

    If both models were alike, each cluster's answers could as well have come from the other one. `gain_of` maps
    choices (R, count) of the clusters that are swapped to gains (R,).
    """
    observed = float(gain_of(np.zeros((1, count), dtype=bool))[0])
    rng = np.random.default_rng(seed)
    gains = gain_of(rng.random((draws, count)) < 0.5)
    slack = 1e-9 * max(1.0, abs(observed))
    above, below = np.sum(gains >= observed - slack), np.sum(gains <= observed + slack)
    return float(min(1.0, 2 * (1 + min(above, below)) / (1 + draws)))


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p-value for right and wrong answers (McNemar 1947): of the examples on which the models differ,
    how many went each way."""
    changed = gained + lost
    return float(min(1.0, 2 * binom.cdf(min(gained, lost), changed, 0.5)))


def signed_rank(differences: Values) -> float | None:
    """Two-sided p-value of Wilcoxon's signed-rank test (1945), zeros left out; None for too few differences."""
    changed = differences[np.abs(differences) > 1e-12]
    if len(changed) < FEWEST_FOR_RANKS:
        return None
    return float(wilcoxon(np.round(changed, 12)).pvalue)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjusted p-values (Holm 1979): among all that are below a level, the chance that any is a false alarm is at most
    that level, however they depend on one another."""
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def spent_confidence(confidence: float, opening: int) -> float:
    """Confidence of the intervals when a sealed test split is opened for the n-th time.

    The n-th opening may err with chance (1 - confidence) / (n (n + 1)) in each direction. These sum to 1 - confidence:
    so much is the chance of a false "better" over all openings together, however many. The first has the plain
    interval.
    """
    return 1 - 2 * (1 - confidence) / (opening * (opening + 1))


def detectable(spread: float, count: int, confidence: float) -> float:
    """The smallest true mean difference that `count` independent pairs find above zero, four times out of five.

    `spread` is the standard deviation of the pairs' differences. Infinite for fewer than two pairs.
    """
    if count < 2:
        return math.inf
    needed = t.ppf((1 + confidence) / 2, count - 1) + norm.ppf(POWER)
    return float(needed * spread / math.sqrt(count))


def detectable_share(count: int, changed_share: float, confidence: float) -> float:
    """The same for right and wrong answers, before any model is trained: the smallest change of accuracy, if the
    training changes the correctness of this share of the answers."""
    return min(1.0, detectable(math.sqrt(changed_share), count, confidence))


def needed(distance: float, half_width: float, count: int) -> int | None:
    """About how many examples would tell, if the distance to the bound is real: intervals shrink with the square root
    of their number. None where more of the same would show that the bound is missed."""
    if distance <= 0 or not math.isfinite(half_width):
        return None
    return math.ceil(count * (half_width / distance) ** 2 * 1.1)


def is_right_or_wrong(*scores: Sequence[float] | Values) -> bool:
    """Whether all values are 0 or 1, so that McNemar's test suits them."""
    return all(bool(np.isin(np.asarray(values), (0.0, 1.0)).all()) for values in scores)
