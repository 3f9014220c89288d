"""Evidence that grows with every exchange: whether today's are still drawn like those of the profile.

Each figure's rank among the profile and all earlier exchanges is a number that is uniform, and independent of all
earlier ranks, as long as nothing changed (online conformal p-values). A gambler bets against that: the "simple jumper"
of Vovk et al., Retrain or not retrain: conformal test martingales for change-point detection, COPA 2021. As long as
nothing changed, his capital, which begins at 1, ever reaches 1/s with a probability of at most s, however often one
looks (Ville's inequality). So that he need not make up for a long quiet time, his stake is spread over gamblers who
begin on different days, and over the figures: the mean of fair games is a fair game.

A figure that is yes or no can also be held against a share that is tolerated: as long as each is a yes with at most
that chance, whatever came before, betting on yes is no better than fair, so that the same bound holds (Waudby-Smith and
Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sonneteer.monitoring.view import Figures

DAYS = 365
"""Gamblers; the last of them plays on when the year is over."""
JUMP = 0.01
BOTH_WAYS = np.array([-1.0, 0.0, 1.0])
UPWARDS = np.array([0.0, 0.25, 0.5, 0.75])
RICHEST = 1e250


class Evidence(NamedTuple):
    """How the capital went, after each exchange."""

    total: Figures
    by_figure: dict[str, Figures]
    """The capital of the gamblers on one figure; their mean is the total."""

    def first_alarm(self, false_alarm_share: float) -> int | None:
        """After how many exchanges the evidence first was enough."""
        reached = np.flatnonzero(self.total >= 1 / false_alarm_share)
        return int(reached[0]) + 1 if len(reached) else None


def evidence(
    profile: Mapping[str, Figures],
    live: Mapping[str, Figures],
    days: Sequence[int],
    rng: np.random.Generator,
    tolerated: Mapping[str, float] | None = None,
) -> Evidence:
    """The gamblers' capital on the live exchanges, of which `days` says on which day (0, 1, ...) each was.

    `tolerated` names figures that are 0 or 1, with the share of ones that is no change. A game without a bet counts,
    too: that there will be none is not known beforehand.
    """
    played = {
        name: capital(ranks(known, live[name], rng) - 0.5, days)
        for name, known in profile.items()
        if np.isfinite(known).any()
    }
    played |= {name: capital(live[name] / share - 1, days, UPWARDS) for name, share in (tolerated or {}).items()}
    total = np.mean(list(played.values()), axis=0) if played else np.ones(len(days))
    return Evidence(total, played)


def ranks(profile: Figures, live: Figures, rng: np.random.Generator) -> Figures:
    """Share of profile and earlier exchanges with a higher figure, ties broken by chance; 0 is the highest of all."""
    known = sorted(profile[np.isfinite(profile)])
    found = np.full(len(live), np.nan)
    for index, figure in enumerate(live):
        if np.isfinite(figure):
            below, up_to = bisect_left(known, figure), bisect_right(known, figure)
            equal = up_to - below + 1  # itself included
            found[index] = (len(known) - up_to + rng.random() * equal) / (len(known) + 1)
            insort(known, figure)
    return found


def capital(gains: Figures, days: Sequence[int], bets: Figures = BOTH_WAYS) -> Figures:
    """Mean capital of all gamblers after each gain; gains have mean 0 as long as nothing changed. None is no bet."""
    hands = np.full((DAYS, len(bets)), 1 / len(bets))
    path, players = np.ones(len(gains)), 0
    for index, (gain, day) in enumerate(zip(gains, days, strict=True)):
        players = max(players, min(day + 1, DAYS))
        if np.isfinite(gain):
            playing = hands[:players]
            playing = (1 - JUMP) * playing + JUMP * playing.mean(axis=1, keepdims=True)
            hands[:players] = np.minimum(playing * (1 + bets * gain), RICHEST)
        path[index] = hands.sum() / DAYS
    return path
