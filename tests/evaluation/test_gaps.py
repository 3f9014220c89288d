"""A gap between groups counts only where chance does not explain it."""

from __future__ import annotations

import numpy as np
import pytest

from sonneteer.evaluation.gaps import Scored, gap_over, gap_rule
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import SCORERS, Scores
from sonneteer.records import Gap

HOW = Bootstrap(0.95, 400, 0)
GROUPS = [("a", "b", "c")[i % 3] for i in range(90)]


def gap(gains: np.ndarray, groups: list[str | None], clusters: np.ndarray | None = None) -> Gap | None:
    weights = np.ones(len(gains))
    belongs = np.arange(len(gains)) if clusters is None else clusters
    base, tuned = Scores(np.zeros(len(gains)), weights), Scores(gains.astype(float), weights)
    return gap_over("group", groups, Scored("rouge_l", SCORERS["rouge_l"], base, tuned, belongs), HOW)


def test_a_group_that_gained_less_is_found() -> None:
    rng = np.random.default_rng(1)
    gains = rng.normal(0.3, 0.1, 90) - np.array([0.2 * (group == "c") for group in GROUPS])
    told = gap(gains, list(GROUPS))
    assert told is not None
    assert told.gap == pytest.approx(0.2, abs=0.06)
    assert told.p_value < 0.01
    outcome = gap_rule("group", told, 0.95)
    assert (outcome.verdict, "for c" in outcome.reason) == ("not better", True)


def test_equal_groups_are_rarely_said_to_differ() -> None:
    rng = np.random.default_rng(2)
    told = [gap(rng.normal(0, 1, 90), list(GROUPS)) for _ in range(60)]
    alarms = sum(one is not None and one.p_value <= 0.05 for one in told)
    assert alarms <= 9  # more would be met once in 1,000 such rounds
    assert all(one is not None and one.expected > 0.1 for one in told)  # the plain gap is never zero


def test_labels_are_dealt_to_people_and_not_to_their_examples() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(10), 9)
    gains = np.repeat(rng.normal(0, 1, 10), 9)
    groups: list[str | None] = [("a", "b")[cluster % 2] for cluster in clusters]
    as_people, as_examples = gap(gains, groups, clusters), gap(gains, groups)
    assert as_people is not None
    assert as_examples is not None
    assert as_people.expected > 2 * as_examples.expected


def test_too_few_examples_tell_nothing() -> None:
    assert gap(np.ones(9), ["a"] * 6 + ["b"] * 2 + [None]) is None
    assert gap_rule("group", None, 0.95).verdict == "cannot tell"
