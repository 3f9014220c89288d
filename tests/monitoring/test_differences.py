from __future__ import annotations

from statistics import mean

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sonneteer.monitoring import differences


def test_the_shift_is_the_kolmogorov_distance() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=50), rng.normal(1, size=70)
    assert differences.shift(one, other) == ks_2samp(one, other).statistic
    assert differences.shift(one, one) == 0
    assert differences.shift(one, one + 100) == 1


def test_p_values_of_equal_sources_are_not_too_small() -> None:
    rng = np.random.default_rng(2)
    for draw in (lambda: rng.normal(size=80), lambda: (rng.random(80) < 0.3).astype(float)):
        small = mean(differences.p_of_shift(draw(), draw()) <= 0.1 for _ in range(400))
        assert small <= 0.13


def test_clouds_of_one_source_are_told_apart_as_rarely_as_stated_and_others_are() -> None:
    rng = np.random.default_rng(3)
    small = [differences.p_of_places(rng.normal(size=(40, 5)), rng.normal(size=(40, 5)), 0.1, rng) for _ in range(60)]
    assert mean(p <= 0.1 for p in small) <= 0.2
    assert differences.p_of_places(rng.normal(size=(60, 5)), rng.normal(1, size=(60, 5)), 0.001, rng) <= 0.001


def test_a_gap_between_equal_groups_is_found_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(4)
    found = [differences.p_of_gap([rng.normal(size=40) for _ in range(3)], rng, 0.1) for _ in range(60)]
    assert mean(p <= 0.1 for p in found) <= 0.2
    assert differences.p_of_gap([rng.normal(size=60), rng.normal(1.5, size=60)], rng, 0.001) <= 0.001


def test_the_stability_index_is_zero_for_the_same_and_grows() -> None:
    rng = np.random.default_rng(5)
    same = rng.normal(size=2000)
    values = [differences.stability_index(same, same + by) for by in (0, 0.3, 1)]
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert values[0] < values[1] < values[2]


def test_holms_correction_is_that_of_statistics_books() -> None:
    adjusted = differences.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
