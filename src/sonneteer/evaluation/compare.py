"""Two models on the same examples: every figure with the interval that chance allows.

Intervals are BCa bootstrap intervals (Efron 1987; DiCiccio & Efron 1996), paired: the same examples are drawn for both
models. What is drawn are clusters, examples that share a person, conversation or document, since their answers are
not independent of one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from sonneteer.evaluation.scorers import Scorer, Scores, Values
from sonneteer.records import Comparison, Example, Interval

Clusters = NDArray[np.int64]


class Bootstrap(NamedTuple):
    """How intervals are made."""

    confidence: float
    resamples: int
    seed: int


class Sums(NamedTuple):
    """Per cluster, for base and tuned: sums of weight * value, and of weight. Their ratio is a weighted mean."""

    base: Values
    tuned: Values
    base_weight: Values
    tuned_weight: Values


def compare(
    metric: str, scorer: Scorer, base: Scores, tuned: Scores, clusters: Clusters, bootstrap: Bootstrap
) -> Comparison:
    """One metric, base against tuned, on the same examples."""
    sums = _sums(base, tuned, clusters)
    sign = 1.0 if scorer.higher_is_better else -1.0

    def base_of(weights: Values) -> Values:
        return scorer.finish((weights @ sums.base) / (weights @ sums.base_weight))

    def tuned_of(weights: Values) -> Values:
        return scorer.finish((weights @ sums.tuned) / (weights @ sums.tuned_weight))

    def gain_of(weights: Values) -> Values:
        return sign * (tuned_of(weights) - base_of(weights))

    count = len(sums.base)
    return Comparison(
        metric=metric,
        higher_is_better=scorer.higher_is_better,
        base=interval(base_of, count, bootstrap),
        tuned=interval(tuned_of, count, bootstrap),
        gain=interval(gain_of, count, bootstrap),
        examples=len(base.values),
    )


def interval(statistic: Callable[[Values], Values], count: int, bootstrap: Bootstrap) -> Interval:
    """BCa interval of a statistic of `count` independent units, given how often each unit is drawn.

    `statistic` maps draw counts (R, count) to figures (R,). With one unit nothing can be said: the interval is
    infinite. Where every resample gives the same figure, the interval is that figure.
    """
    value = float(statistic(np.ones((1, count)))[0])
    if count < 2:
        return Interval(value=value, low=float("-inf"), high=float("inf"))
    rng = np.random.default_rng(bootstrap.seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=bootstrap.resamples).astype(float)
    resampled = statistic(draws)
    if np.ptp(resampled) < 1e-12 * max(1.0, abs(value)):
        return Interval(value=value, low=value, high=value)
    left_out = statistic(np.ones((count, count)) - np.eye(count))
    low, high = _bca_shares(value, resampled, left_out, bootstrap.confidence)
    return Interval(value=value, low=float(np.quantile(resampled, low)), high=float(np.quantile(resampled, high)))


def _bca_shares(value: float, resampled: Values, left_out: Values, confidence: float) -> tuple[float, float]:
    """The quantiles of the resamples that bound the interval: corrected for bias and for changing spread."""
    below = (np.sum(resampled < value) + np.sum(resampled == value) / 2) / len(resampled)
    bias = norm.ppf(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled)))
    away = left_out.mean() - left_out
    spread = np.sum(away**2)
    acceleration = np.sum(away**3) / (6 * spread**1.5) if spread > 0 else 0.0
    shares = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + norm.ppf(tail)
        shares.append(float(norm.cdf(bias + z / (1 - acceleration * z))))
    return shares[0], shares[1]


def _sums(base: Scores, tuned: Scores, clusters: Clusters) -> Sums:
    def per_cluster(amounts: Values) -> Values:
        return np.bincount(clusters, weights=amounts).astype(np.float64)

    return Sums(
        base=per_cluster(base.values * base.weights),
        tuned=per_cluster(tuned.values * tuned.weights),
        base_weight=per_cluster(base.weights),
        tuned_weight=per_cluster(tuned.weights),
    )


def clusters_of(examples: Sequence[Example], keep_together: Sequence[str]) -> Clusters:
    """A number from 0 for each example; those that share a tag to be kept together have the same."""
    parent = list(range(len(examples)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, example in enumerate(examples):
        for tag in keep_together:
            if value := example.tags.get(tag):
                parent[root(index)] = root(first.setdefault((tag, value), index))
    _, numbers = np.unique([root(index) for index in range(len(examples))], return_inverse=True)
    return numbers.astype(np.int64)
