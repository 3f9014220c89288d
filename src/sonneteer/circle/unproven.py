"""What is learned though nothing like it is sealed, so that no test can tell whether the answers to it got better.

What belongs together is never parted. So a topic on which everybody asks nearly the same, or which one conversation
was about, may lie on the side that is learned as a whole.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from textwrap import shorten
from typing import NamedTuple

from sonneteer import data
from sonneteer.circle.harvested import exchange_of
from sonneteer.evaluation import SMALLEST_SLICE
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import SplitName
from sonneteer.records.rows import Row

LONGEST = 80  # characters of a question that a report quotes


class Member(NamedTuple):
    """A row, and the number of those that stay together with it."""

    row: Row
    group: int


class Unproven(NamedTuple):
    """Exchanges that are learned, and what they are about."""

    topic: str
    """The label that people gave them; empty where they gave none."""
    question: str
    """What the first of them asked."""
    exchanges: int
    groups: int
    """How many of them there are, where those that must stay on one side count as one."""

    def says(self, test_share: float) -> str:
        """What is known of them, and what to collect."""
        named = f"with the label '{self.topic}'" if self.topic else f"like '{self.question}'"
        groups = "one group" if self.groups == 1 else f"{self.groups} groups"
        told = (
            f"Nothing {named} is sealed, so no test can tell whether answers to it get better: all {self.exchanges} "
            f"exchanges are learned ({groups} of what belongs to one conversation or is nearly the same)."
        )
        if not test_share:
            return f"{told} data.test_share is 0, so nothing will be."
        return (
            f"{told} Collect feedback on about {math.ceil(SMALLEST_SLICE / test_share)} other conversations about it, "
            f"in other words and with one label: {test_share:.0%} of them are sealed, and {SMALLEST_SLICE} give the "
            "label a figure of its own."
        )


def unproven(
    harvested: Mapping[SplitName, Sequence[Row]], sealed_topics: Collection[str], settings: DataSettings
) -> list[Unproven]:
    """Labels, and groups without one, of at least `SMALLEST_SLICE` exchanges of which none is sealed; largest first.

    `sealed_topics` are those of examples that were sealed before anything was harvested.
    """
    sealed = {_topic_of(row) for row in harvested["test"]} | {*sealed_topics}
    learned = harvested["train"]
    about: dict[str | int, list[Member]] = defaultdict(list)
    for row, group in zip(learned, data.bound(learned, settings), strict=True):
        about[_topic_of(row) or group].append(Member(row, group))
    found = [_of(members) for about_it, members in about.items() if about_it not in sealed]
    return sorted((one for one in found if one.exchanges >= SMALLEST_SLICE), key=lambda one: -one.exchanges)


def _of(members: Sequence[Member]) -> Unproven:
    first = members[0].row
    turns = first.get("messages") or first["prompt"]
    asked = next((str(turn["content"]) for turn in reversed(turns) if turn["role"] == "user"), "")
    exchanges, groups = {exchange_of(one.row) for one in members}, {one.group for one in members}
    return Unproven(_topic_of(first), shorten(asked, LONGEST, placeholder=" …"), len(exchanges), len(groups))


def _topic_of(row: Row) -> str:
    return str(row["tags"].get("topic", ""))
