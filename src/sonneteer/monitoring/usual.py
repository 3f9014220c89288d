"""What is usual of a version's answers: how long they were, and how sure it was, when it was evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sonneteer.monitoring.view import Seen
from sonneteer.records import Exchange
from sonneteer.words import WORD

FEWEST = 30
"""Answers below which nothing is called usual."""
RARE = 0.01
"""Share of a version's own answers that are shorter, longer or less sure than is usual; so much on each side."""


class Usual(NamedTuple):
    """Between what limits nearly all answers lay."""

    shortest: float
    longest: float
    """In words."""
    least_sure: float | None

    def is_strange(self, exchange: Exchange) -> bool:
        """Whether an answer is unlike those that were evaluated."""
        words = len(WORD.findall(exchange.answer.text))
        if not self.shortest <= words <= self.longest:
            return True
        sure, least = exchange.confidence, self.least_sure
        return sure is not None and least is not None and sure < least


def widest(known: Iterable[Usual]) -> Usual:
    """The limits within which an answer is usual of any of these versions.

    Both versions of a trial are measured by the same: by limits of their own, a version that answers new questions just
    as the other one does would be blamed for having been evaluated on others.
    """
    shortest, longest, least_sure = zip(*known, strict=True)
    told = [sure for sure in least_sure if sure is not None]
    return Usual(min(shortest), max(longest), min(told) if len(told) == len(least_sure) else None)


def usual_of(answered: Sequence[Seen]) -> Usual | None:
    """The limits of these answers; None where there are too few."""
    words = [len(WORD.findall(one.answer)) for one in answered if one.answer is not None]
    sure = [one.confidence for one in answered if one.confidence is not None]
    if len(words) < FEWEST:
        return None
    shortest, longest = np.quantile(words, [RARE, 1 - RARE])
    least_sure = float(np.quantile(sure, RARE)) if len(sure) >= FEWEST else None
    return Usual(float(shortest), float(longest), least_sure)
