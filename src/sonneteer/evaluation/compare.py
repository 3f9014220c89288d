"""Two models on the same examples: every figure with the interval that chance allows.

Pairs are kept: the same examples are drawn for both models. What is drawn are clusters, examples that share a person,
conversation or document, since their answers are not independent of one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.evaluation import significance
from sonneteer.evaluation.intervals import Bootstrap, Ends, Values, interval
from sonneteer.evaluation.scorers import Scorer, Scores
from sonneteer.evaluation.shares import clopper_pearson
from sonneteer.records import Comparison, Example, Interval

Clusters = NDArray[np.int64]


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
    applies = (base.weights > 0) & (tuned.weights > 0)
    base, tuned = (Scores(one.values[applies], one.weights[applies]) for one in (base, tuned))
    sums = _sums(base, tuned, np.unique(clusters[applies], return_inverse=True)[1])
    sign = 1.0 if scorer.higher_is_better else -1.0

    def base_of(weights: Values) -> Values:
        return scorer.finish((weights @ sums.base) / (weights @ sums.base_weight))

    def tuned_of(weights: Values) -> Values:
        return scorer.finish((weights @ sums.tuned) / (weights @ sums.tuned_weight))

    def gain_of(weights: Values) -> Values:
        return sign * (tuned_of(weights) - base_of(weights))

    def gain_swapped(is_swapped: NDArray[np.bool_]) -> Values:
        return sign * (_mean(sums, is_swapped, scorer) - _mean(sums, ~is_swapped, scorer))

    count = len(sums.base)
    bounds = scorer.bounds
    between = bounds and Ends(bounds.low - bounds.high, bounds.high - bounds.low)
    p_value = significance.randomisation(gain_swapped, count, bootstrap.resamples, bootstrap.seed)
    return Comparison(
        metric=metric,
        higher_is_better=scorer.higher_is_better,
        base=_exact_too(interval(base_of, count, bootstrap, bounds), base.values, count, bootstrap),
        tuned=_exact_too(interval(tuned_of, count, bootstrap, bounds), tuned.values, count, bootstrap),
        gain=interval(gain_of, count, bootstrap, between),
        examples=len(base.values),
        clusters=count,
        p_values={"randomisation": p_value} | _further_tests(base, tuned, sums),
        detectable=_detectable(gain_of, count, bootstrap),
    )


def _exact_too(told: Interval, values: Values, count: int, bootstrap: Bootstrap) -> Interval:
    """For right and wrong answers that stand alone at each end the wider of the bootstrap's and the exact interval: one
    wrong answer in a hundred is resampled too rarely to show what else there may be."""
    if not 0 < len(values) == count or not significance.is_right_or_wrong(values):
        return told
    exact = clopper_pearson(int(values.sum()), count, bootstrap.confidence)
    return Interval(value=told.value, low=min(told.low, exact.low), high=max(told.high, exact.high))


def _mean(sums: Sums, is_swapped: NDArray[np.bool_], scorer: Scorer) -> Values:
    """The tuned model's figure, had each swapped cluster's answers come from the base model."""
    value = sums.tuned.sum() + is_swapped @ (sums.base - sums.tuned)
    weight = sums.tuned_weight.sum() + is_swapped @ (sums.base_weight - sums.tuned_weight)
    return scorer.finish(value / weight)


def _further_tests(base: Scores, tuned: Scores, sums: Sums) -> dict[str, float]:
    """McNemar's test for right and wrong answers that stand alone, else the signed-rank test of the clusters."""
    if len(sums.base) == len(base.values) and significance.is_right_or_wrong(base.values, tuned.values):
        difference = tuned.values - base.values
        return {"mcnemar": significance.mcnemar(int(np.sum(difference > 0)), int(np.sum(difference < 0)))}
    ranked = significance.signed_rank(sums.tuned / sums.tuned_weight - sums.base / sums.base_weight)
    return {} if ranked is None else {"signed_rank": ranked}


def _detectable(gain_of: Callable[[Values], Values], count: int, bootstrap: Bootstrap) -> float | None:
    """From the spread of the gain when each cluster in turn is left out (the jackknife). None for a single cluster."""
    if count < 2:
        return None
    left_out = gain_of(np.ones((count, count)) - np.eye(count))
    return significance.detectable((count - 1) * float(left_out.std(ddof=1)), count, bootstrap.confidence)


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
