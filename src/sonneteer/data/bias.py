"""Who is spoken of in the data, and beside which words: counts with intervals, and what they cannot show.

A short list of English words for groups is looked for. It finds what is said openly, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from sonneteer.groups.mentions import GROUPS
from sonneteer.records import Example

BESIDE: dict[str, frozenset[str]] = {
    "leading roles": frozenset(
        ["boss", "ceo", "chief", "director", "doctor", "engineer", "lawyer", "manager", "president", "professor"]
    ),
    "serving roles": frozenset(
        ["assistant", "cashier", "cleaner", "maid", "nurse", "receptionist", "secretary", "servant", "waitress"]
    ),
    "negative words": frozenset(
        [
            "angry",
            "awful",
            "bad",
            "complain",
            "complaint",
            "criminal",
            "dangerous",
            "difficult",
            "fraud",
            "guilty",
            "hate",
            "horrible",
            "lazy",
            "liar",
            "poor",
            "problem",
            "rude",
            "stupid",
            "terrible",
            "violent",
            "wrong",
        ]
    ),
}
WORD = re.compile(r"\w+")
CONFIDENT = 1.96  # standard deviations of a 95 % interval
TOO_FEW = 30
LIMITS = (
    "A list of English words was counted. Names, other languages, irony and what is only implied are not seen, and a "
    "word such as 'old' may speak of a thing.",
    "An example that mentions a group beside a word need not say it of the group.",
    "What these counts show of the sample they do not show of the people whom a model will meet.",
)


class Mention(NamedTuple):
    """One group, and in which share of the examples that mention it a kind of word stands beside."""

    axis: str
    group: str
    examples: int
    beside: str
    share: float
    low: float
    high: float
    """95 % interval (Wilson)."""
    is_enough: bool
    """Whether there are enough examples for the share to mean much."""


def mentions(examples: Iterable[Example]) -> list[Mention]:
    """The bias table: for each group and kind of word one line."""
    counts: dict[tuple[str, str], int] = {}
    beside: dict[tuple[str, str, str], int] = {}
    for example in examples:
        words = {word.lower() for message in example.messages for word in WORD.findall(message.text)}
        kinds = [kind for kind, list_of in BESIDE.items() if words & list_of]
        for axis, groups in GROUPS.items():
            for group, names in groups.items():
                if words & names:
                    counts[axis, group] = counts.get((axis, group), 0) + 1
                    for kind in kinds:
                        beside[axis, group, kind] = beside.get((axis, group, kind), 0) + 1
    return [
        Mention(axis, group, count, kind, hits / count, *wilson(hits, count), count >= TOO_FEW)
        for axis, groups in GROUPS.items()
        for group in groups
        if (count := counts.get((axis, group), 0))
        for kind in BESIDE
        for hits in (beside.get((axis, group, kind), 0),)
    ]


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, CONFIDENT**2
    middle = share + square / (2 * count)
    margin = CONFIDENT * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, (middle - margin) / (1 + square / count)), min(1.0, (middle + margin) / (1 + square / count))
