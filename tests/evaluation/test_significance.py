"""Tests of differences agree with SciPy and with plain enumeration, and keep their promise under simulation."""

from __future__ import annotations

from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sonneteer.evaluation import significance
from sonneteer.evaluation.compare import compare
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import SCORERS, Scores

P = st.floats(0.0001, 1.0)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_scipy_s_binomial_test_of_the_changed_answers(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert significance.mcnemar(gained, lost) == pytest.approx(expected)


@given(st.lists(P, min_size=1, max_size=5))
def test_holm_is_the_closed_testing_of_bonferroni(p_values: list[float]) -> None:
    names = range(len(p_values))
    told = significance.holm({str(i): p for i, p in enumerate(p_values)})
    subsets = list(chain.from_iterable(combinations(names, size) for size in range(1, len(p_values) + 1)))
    for i in names:
        worst = max(min(1.0, len(chosen) * min(p_values[j] for j in chosen)) for chosen in subsets if i in chosen)
        assert told[str(i)] == pytest.approx(worst)


def test_the_randomisation_test_is_the_count_over_all_ways_to_swap() -> None:
    differences = np.array([0.4, -0.1, 0.3, 0.25, 0.5, -0.05, 0.2, 0.1, 0.35, 0.02])
    sums = np.array([np.dot(signs, differences) for signs in product((1, -1), repeat=10)])
    exact = np.mean(np.abs(sums) >= differences.sum() - 1e-12)

    def gain_of(is_swapped: np.ndarray) -> np.ndarray:
        return np.where(is_swapped, -differences, differences).mean(-1)

    assert significance.randomisation(gain_of, 10, 20_000, 0) == pytest.approx(exact, abs=0.003)
    theirs = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert theirs.pvalue == pytest.approx(exact)


def test_signed_ranks_are_scipy_s_without_the_zeros() -> None:
    differences = np.array([0.0, 0.3, -0.1, 0.25, 0.5, -0.05, 0.2, 0.0])
    assert significance.signed_rank(differences) == stats.wilcoxon(differences[differences != 0]).pvalue
    assert significance.signed_rank(np.array([0.1, 0.2, 0.0, 0.3])) is None


def test_the_chances_of_all_openings_sum_to_what_was_stated() -> None:
    spent = [(1 - significance.spent_confidence(0.95, opening)) / 2 for opening in range(1, 5000)]
    assert significance.spent_confidence(0.95, 1) == pytest.approx(0.95)
    assert sum(spent) == pytest.approx(0.05, abs=1e-4)


def test_a_detectable_difference_is_found_four_times_out_of_five() -> None:
    rng = np.random.default_rng(0)
    size = significance.detectable(1.0, 40, 0.95)
    found = stats.ttest_1samp(rng.normal(size, 1.0, (4000, 40)), 0, axis=1).statistic > stats.t.ppf(0.975, 39)
    assert found.mean() == pytest.approx(0.8, abs=0.02)
    assert significance.detectable_share(200, 0.2, 0.95) == pytest.approx(significance.detectable(0.2**0.5, 200, 0.95))
    assert significance.detectable(1.0, 1, 0.95) == float("inf")


def test_a_report_s_smallest_gain_comes_from_the_spread_of_its_own_differences() -> None:
    difference = np.random.default_rng(0).normal(size=50)
    zeros = Scores(np.zeros(50), np.ones(50))
    told = compare("rouge_l", SCORERS["rouge_l"], zeros, Scores(difference, np.ones(50)), np.arange(50), HOW)
    assert told.detectable == pytest.approx(significance.detectable(float(difference.std(ddof=1)), 50, 0.95))
    assert set(told.p_values) == {"randomisation", "signed_rank"}
    assert told.p_values["randomisation"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.05)


HOW = Bootstrap(confidence=0.95, resamples=1000, seed=0)


def test_right_and_wrong_answers_that_stand_alone_get_mcnemar_s_test() -> None:
    base = Scores(np.array([0.0] * 8 + [1.0] * 4), np.ones(12))
    tuned = Scores(np.array([1.0] * 7 + [0.0] * 2 + [1.0] * 3), np.ones(12))
    alone = compare("exact_match", SCORERS["exact_match"], base, tuned, np.arange(12), HOW)
    assert alone.p_values["mcnemar"] == significance.mcnemar(7, 1)
    together = compare("exact_match", SCORERS["exact_match"], base, tuned, np.arange(12) // 2, HOW)
    assert "mcnemar" not in together.p_values
