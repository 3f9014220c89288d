"""Intervals of shares and of the area under a curve equal their references, and cover what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from sonneteer.evaluation.shares import auc, clopper_pearson, difference, wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (3, 10), (10, 10), (250, 1000)])
def test_shares_are_scipy_s(hits: int, count: int) -> None:
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = binomtest(hits, count).proportion_ci(0.95, method)
        told = ours(hits, count, 0.95)
        assert (told.low, told.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_difference_is_newcombe_s_own_example() -> None:
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10
    told = difference(wilson(56, 70, 0.95), wilson(48, 80, 0.95))
    assert (told.value, told.low, told.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_the_area_is_that_of_scikit_learn_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 6, 60) + 1.0, rng.integers(0, 6, 40) * 1.0
    theirs = roc_auc_score([1] * 60 + [0] * 40, np.concatenate([members, others]))
    assert auc(members, others, 0.95).value == pytest.approx(theirs)


def test_the_interval_of_the_area_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        told = auc(rng.normal(0.5, 1, 80), rng.normal(0, 1, 80), 0.9)
        covered += told.low <= 0.63816 <= told.high  # the normal distribution at 0.5 / sqrt(2)
    assert 340 <= covered <= 380
