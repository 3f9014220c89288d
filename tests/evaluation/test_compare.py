"""Intervals cover as they claim, agree with SciPy's, and say nothing where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, sem, t
from scipy.stats import bootstrap as scipy_bootstrap

from sonneteer.evaluation.compare import clusters_of, compare
from sonneteer.evaluation.intervals import SHARE, Bootstrap, bca, interval, studentised
from sonneteer.evaluation.scorers import SCORERS, Scores
from sonneteer.records import Example, Message

HOW = Bootstrap(confidence=0.95, resamples=4000, seed=0)
QUICK = Bootstrap(confidence=0.95, resamples=500, seed=0)
FIFTY = np.arange(50)
EASE = SCORERS["reading_ease"]
"""A metric without bounds."""


def scores(values: np.ndarray, weights: np.ndarray | None = None) -> Scores:
    return Scores(values, np.ones_like(values) if weights is None else weights)


def test_one_end_is_scipy_s_bca_interval_and_the_other_is_never_narrower() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=60)
    draws = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=4000)
    left_out = (values.sum() - values) / 59
    ours = bca(float(values.mean()), draws @ values / 60, left_out, 0.95)
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    told = interval(lambda draws: draws @ values / draws.sum(1), 60, HOW)
    assert told.low <= ours.low + 0.03
    assert told.high >= ours.high - 0.03


def test_the_studentised_interval_of_normal_figures_is_student_s() -> None:
    values = np.random.default_rng(3).normal(size=120)
    draws = np.random.default_rng(0).multinomial(120, np.full(120, 1 / 120), size=4000).astype(float)
    ours = studentised(float(values.mean()), draws, (values.sum() - values) / 119, 0.95)
    theirs = t.interval(0.95, 119, loc=values.mean(), scale=sem(values))
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.02)


def test_perplexity_is_the_exponential_of_the_mean_over_tokens_not_over_examples() -> None:
    base = scores(np.array([1.0, 3.0]), np.array([100.0, 1.0]))
    told = compare("perplexity", SCORERS["perplexity"], base, base, np.arange(2), HOW)
    assert told.base.value == pytest.approx(np.exp(103 / 101))


def test_the_gain_is_turned_so_that_more_is_better() -> None:
    base, tuned = scores(np.array([2.0, 2.1, 1.9])), scores(np.array([1.0, 1.2, 0.9]))
    assert compare("perplexity", SCORERS["perplexity"], base, tuned, np.arange(3), HOW).gain.value > 0
    assert compare("rouge_l", SCORERS["rouge_l"], base, tuned, np.arange(3), HOW).gain.value < 0


def test_pairing_makes_the_gain_s_interval_narrower_than_the_models_own() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=80)
    told = compare("reading_ease", EASE, scores(difficulty), scores(difficulty + 0.1), np.arange(80), HOW)
    assert told.gain.high - told.gain.low < 0.01 < told.base.high - told.base.low


def test_examples_that_belong_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=20), 10)
    alone = compare("reading_ease", EASE, scores(values * 0), scores(values), np.arange(200), HOW)
    together = compare("reading_ease", EASE, scores(values * 0), scores(values), np.arange(200) // 10, HOW)
    assert together.gain.high - together.gain.low > 2 * (alone.gain.high - alone.gain.low)


def test_one_example_says_nothing_and_equal_examples_without_bounds_say_their_value() -> None:
    one = interval(lambda draws: draws @ np.array([0.3]), 1, HOW)
    assert (one.low, one.high) == (-np.inf, np.inf)
    equal = interval(lambda draws: draws @ np.full(5, 0.3) / 5, 5, HOW)
    assert (equal.low, equal.high) == (0.3, 0.3)
    share = interval(lambda draws: draws @ np.array([0.3]), 1, HOW, SHARE)
    assert (share.low, share.high) == (0.0, 1.0)


def test_fifty_right_answers_of_fifty_have_the_exact_interval() -> None:
    told = compare("exact_match", SCORERS["exact_match"], scores(np.zeros(50)), scores(np.ones(50)), FIFTY, HOW)
    exact = binomtest(50, 50).proportion_ci(0.95, "exact")
    assert (told.tuned.low, told.tuned.high) == pytest.approx((exact.low, exact.high))
    assert (told.base.low, told.base.high) == pytest.approx((0.0, 1 - exact.low))
    # What was not met may as well have been lost as gained.
    assert (told.gain.low, told.gain.high) == pytest.approx((1 - 2 * (1 - exact.low), 1.0))


def test_all_answers_alike_from_both_models_exclude_no_small_loss() -> None:
    told = compare("rouge_l", SCORERS["rouge_l"], scores(np.full(50, 0.4)), scores(np.full(50, 0.4)), FIFTY, HOW)
    assert told.gain.low == pytest.approx(0.025 ** (1 / 50) - 1)
    same = compare("perplexity", SCORERS["perplexity"], scores(np.ones(50)), scores(np.ones(50)), FIFTY, HOW)
    assert (same.gain.low, same.gain.high) == (0.0, 0.0)  # no bounds, so nothing can be said of what was not met


@pytest.mark.parametrize("count", [12, 50, 100])
def test_rare_errors_are_covered_as_often_as_stated(count: int) -> None:
    """Exactly: each number of errors with its binomial chance, and whether its interval misses the truth."""
    ends = []
    for errors in range(count + 1):
        right = scores((np.arange(count) >= errors).astype(float))
        told = compare("exact_match", SCORERS["exact_match"], right, right, np.arange(count), QUICK)
        ends.append((told.tuned.low, told.tuned.high))
    low, high = np.array(ends).T
    for share in (0.8, 0.9, 0.95, 0.98, 0.99, 0.999):
        chance = binom.pmf(np.arange(count + 1), count, 1 - share)
        assert chance[low > share].sum() <= 0.025
        assert chance[high < share].sum() <= 0.025


def test_a_rare_loss_is_not_excluded_more_often_than_stated() -> None:
    lost = []
    for errors in range(101):
        right = scores((np.arange(100) >= errors).astype(float))
        lost.append(compare("exact_match", SCORERS["exact_match"], scores(np.ones(100)), right, np.arange(100), QUICK))
    low = np.array([told.gain.low for told in lost])
    for loss in (0.005, 0.01, 0.02, 0.03):
        assert binom.pmf(np.arange(101), 100, loss)[low > -loss].sum() <= 0.025


def test_clusters_join_examples_that_share_a_tag() -> None:
    def example(**tags: str) -> Example:
        return Example(messages=(Message(role="user", text="q"), Message(role="assistant", text="a")), tags=tags)

    examples = [
        example(person="a"),
        example(person="b", document="x"),
        example(document="x"),
        example(),
        example(person="a"),
    ]
    numbers = clusters_of(examples, ("person", "document"))
    assert numbers[0] == numbers[4]
    assert numbers[1] == numbers[2]
    assert len(set(numbers.tolist())) == 3


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_claim() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    trials = 600
    for trial in range(trials):
        difference = rng.exponential(size=60) - 1.0  # skewed, with mean 0
        told = compare(
            "reading_ease",
            EASE,
            scores(np.zeros(60)),
            scores(difference),
            np.arange(60),
            Bootstrap(confidence=0.9, resamples=1000, seed=trial),
        )
        covered += told.gain.low <= 0 <= told.gain.high
    assert 0.87 <= covered / trials <= 0.96
