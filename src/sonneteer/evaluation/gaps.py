"""Whether a training helped some groups more than others: the largest minus the smallest gain, decided by permutation.

Such a gap is never below zero, so that chance alone makes one: what it would make is found by dealing the groups'
labels out anew (Fisher 1935).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.evaluation.intervals import Bootstrap, Values
from sonneteer.evaluation.scorers import Scorer, Scores
from sonneteer.records import Gap, RuleOutcome

SMALLEST_GROUP = 5


class Scored(NamedTuple):
    """One metric of both models on the same examples, and which of them belong together."""

    metric: str
    scorer: Scorer
    base: Scores
    tuned: Scores
    clusters: NDArray[np.int64]


def gap_over(tag: str, values: Sequence[str | None], scored: Scored, bootstrap: Bootstrap) -> Gap | None:
    """The gap over the values of a tag; None where fewer than two of them have enough examples.

    Labels are dealt out to whole clusters: examples of one person have the group of the first of them.
    """
    kept, labels, names = _grouped(values, scored)
    if len(names) < 2:
        return None
    sums = [_per_cluster(amounts, scored.clusters, kept) for amounts in _amounts(scored)]
    gains = _gains(labels, len(names), sums, scored.scorer)
    rng = np.random.default_rng(bootstrap.seed)
    by_chance = np.array(
        [np.ptp(_gains(rng.permutation(labels), len(names), sums, scored.scorer)) for _ in range(bootstrap.resamples)]
    )
    gap = float(np.ptp(gains))
    return Gap(
        tag=tag,
        metric=scored.metric,
        gains=dict(zip(names, gains.tolist(), strict=True)),
        gap=gap,
        expected=float(by_chance.mean()),
        p_value=float((1 + np.sum(by_chance >= gap - 1e-12)) / (1 + len(by_chance))),
    )


def gap_rule(tag: str, gap: Gap | None, confidence: float) -> RuleOutcome:
    """Broken where chance does not explain the gap."""
    rule = f"the gain must not differ over {tag}"
    if gap is None:
        reason = f"The test split has no two values of '{tag}' with at least {SMALLEST_GROUP} examples each."
        return RuleOutcome(rule=rule, verdict="cannot tell", reason=reason)
    best, worst = max(gap.gains, key=gap.gains.__getitem__), min(gap.gains, key=gap.gains.__getitem__)
    figures = (
        f"{gap.metric}: the gain is {gap.gains[best]:.4g} for {best} and {gap.gains[worst]:.4g} for {worst}. A gap of "
        f"{gap.gap:.4g} is {{}} by chance, which makes one of {gap.expected:.4g} on average (p = {gap.p_value:.2g})"
    )
    if gap.p_value <= 1 - confidence:
        return RuleOutcome(rule=rule, verdict="not better", reason=figures.format("not explained") + ".")
    reason = figures.format("explained") + "; a smaller true one is not excluded."
    return RuleOutcome(rule=rule, verdict="better", reason=reason)


def _grouped(values: Sequence[str | None], scored: Scored) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Clusters whose group is large enough, the number of that group, and the groups' names."""
    applies = (scored.base.weights > 0) & (scored.tuned.weights > 0)
    group_of: dict[int, str] = {}
    sizes: dict[str, int] = {}
    for cluster, value, is_scored in zip(scored.clusters.tolist(), values, applies, strict=True):
        if value and is_scored:
            group = group_of.setdefault(cluster, value)
            sizes[group] = sizes.get(group, 0) + 1
    names = sorted(group for group, size in sizes.items() if size >= SMALLEST_GROUP)
    kept = [cluster for cluster, group in group_of.items() if group in names]
    return np.array(kept), np.array([names.index(group_of[cluster]) for cluster in kept]), names


def _amounts(scored: Scored) -> tuple[Values, ...]:
    """For base and tuned the weighted values and their weights, nothing where the metric does not apply."""
    applies = ((scored.base.weights > 0) & (scored.tuned.weights > 0)).astype(float)
    parts = (scored.base, scored.tuned)
    return tuple(amount for part in parts for amount in (part.values * part.weights * applies, part.weights * applies))


def _per_cluster(amounts: Values, clusters: NDArray[np.int64], kept: NDArray[np.int64]) -> Values:
    return np.bincount(clusters, weights=amounts)[kept].astype(np.float64)


def _gains(labels: NDArray[np.int64], count: int, sums: Sequence[Values], scorer: Scorer) -> Values:
    base, base_weight, tuned, tuned_weight = (np.bincount(labels, weights=one, minlength=count) for one in sums)
    sign = 1.0 if scorer.higher_is_better else -1.0
    return sign * (scorer.finish(tuned / tuned_weight) - scorer.finish(base / base_weight))
