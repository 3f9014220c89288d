"""The gap between learned and watching examples has the interval that SciPy gives, and covers as it claims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sonneteer.training.overfitting import Loss, gap_between


def losses(values: np.ndarray, weights: np.ndarray | None = None) -> list[Loss]:
    weights = np.ones(len(values)) if weights is None else weights
    return [Loss(float(value * weight), float(weight)) for value, weight in zip(values, weights, strict=True)]


def test_examples_of_one_length_give_scipy_s_welch_interval() -> None:
    rng = np.random.default_rng(0)
    watched, learned = rng.normal(3.0, 1.0, 40), rng.normal(2.5, 0.3, 25)
    told = gap_between(losses(watched), losses(learned))
    theirs = stats.ttest_ind(watched, learned, equal_var=False).confidence_interval(0.95)
    assert told is not None
    assert told.value == pytest.approx(watched.mean() - learned.mean())
    assert (told.low, told.high) == pytest.approx((theirs.low, theirs.high))


def test_the_interval_covers_the_gap_of_examples_of_different_lengths() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(1000):
        lengths = rng.integers(5, 60, (2, 50)).astype(float)
        sides = [losses(rng.gamma(4, 0.5 + side / 10, 50), lengths[side]) for side in (1, 0)]
        told = gap_between(*sides)
        assert told is not None
        covered += told.low <= 0.4 <= told.high
    assert 0.93 <= covered / 1000 <= 0.97


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0]])
def test_one_example_or_equal_ones_have_no_interval(values: list[float]) -> None:
    assert gap_between(losses(np.array(values)), losses(np.array(values))) is None
