"""Evidence against 'nothing changed': fair as long as nothing did, and quick when something does."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kstest

from sonneteer.monitoring.evidence import UPWARDS, capital, evidence, ranks


def test_ranks_are_uniform_as_long_as_nothing_changes_also_with_ties() -> None:
    rng = np.random.default_rng(1)
    for figures in (rng.normal(size=3000), rng.integers(0, 4, size=3000).astype(float)):
        found = ranks(figures[:1000], figures[1000:], rng)
        assert kstest(found, "uniform").pvalue > 0.01
        assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.06


def test_a_missing_figure_has_no_rank_and_is_no_bet() -> None:
    rng = np.random.default_rng(2)
    found = ranks(np.arange(10.0), np.array([np.nan, 3.5]), rng)
    assert np.isnan(found[0])
    assert 0 <= found[1] <= 1
    assert capital(np.array([np.nan, np.nan]), [0, 5]) == pytest.approx([1, 1])


def test_the_capital_is_a_fair_game() -> None:
    """Its mean stays 1, whatever the number of rounds and whenever the gamblers begin."""
    rng = np.random.default_rng(3)
    ends = [capital(rng.random(60) - 0.5, [index // 3 for index in range(60)])[-1] for _ in range(1000)]
    assert np.mean(ends) == pytest.approx(1, abs=5 * np.std(ends) / np.sqrt(len(ends)))


@pytest.mark.parametrize("tolerated", [0.1, 0.5, 1.0])
def test_a_share_that_is_tolerated_is_a_fair_game_and_a_smaller_one_is_lost(tolerated: float) -> None:
    """The expected capital after six rounds, exactly: over all ways in which they can go."""

    def expected(share: float) -> float:
        return sum(
            math.prod(share if is_one else 1 - share for is_one in ones)
            * capital(np.array(ones) / tolerated - 1, [0, 0, 100, 200, 300, 364], UPWARDS)[-1]
            for ones in itertools.product((0, 1), repeat=6)
        )

    assert expected(tolerated) == pytest.approx(1)
    assert expected(tolerated / 2) < 0.9


def test_false_alarms_within_a_year_are_as_rare_as_stated() -> None:
    """Twenty requests on each of 200 days; how often the evidence ever reaches 1/0.2, in 60 quiet years."""
    rng = np.random.default_rng(4)
    days = [index // 4 for index in range(800)]
    alarms = 0
    for _ in range(60):
        figures = rng.normal(size=(2, 1000))
        grown = evidence(
            {"a": figures[0, :200], "b": figures[1, :200]},
            {"a": figures[0, 200:], "b": figures[1, 200:], "c": np.where(rng.random(800) < 0.5, yes(rng), np.nan)},
            days,
            rng,
            {"c": 0.3},
        )
        alarms += grown.first_alarm(0.2) is not None
    assert alarms / 60 <= 0.2


def yes(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """As often as is tolerated."""
    return (rng.random(800) < 0.3).astype(float)


@pytest.mark.parametrize("quiet", [50, 2000])
def test_a_change_shows_within_some_hundred_exchanges_however_long_it_was_quiet(quiet: int) -> None:
    rng = np.random.default_rng(5)
    live = np.concatenate([rng.normal(size=quiet), rng.normal(0.8, size=400)])
    grown = evidence({"a": rng.normal(size=1000)}, {"a": live}, [index // 20 for index in range(len(live))], rng)
    alarm = grown.first_alarm(0.05)
    assert alarm is not None
    assert quiet < alarm <= quiet + 300
