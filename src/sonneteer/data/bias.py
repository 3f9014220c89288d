"""Who is spoken of in the data, and beside which words: counts with intervals, and what they cannot show.

Groups are told by short lists of English words (pronouns among them) and by the names that people bear. That finds what
is said openly, and nothing else.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from sonneteer.groups import groups_named
from sonneteer.groups.mentions import GROUPS
from sonneteer.records import Example

BESIDE: dict[str, frozenset[str]] = {
    "leading roles": frozenset(
        [
            "boss",
            "captain",
            "ceo",
            "chief",
            "director",
            "doctor",
            "engineer",
            "executive",
            "founder",
            "judge",
            "lawyer",
            "manager",
            "owner",
            "physician",
            "pilot",
            "president",
            "professor",
            "scientist",
            "surgeon",
        ]
    ),
    "serving roles": frozenset(
        [
            "assistant",
            "cashier",
            "cleaner",
            "clerk",
            "housekeeper",
            "janitor",
            "maid",
            "nanny",
            "nurse",
            "receptionist",
            "secretary",
            "servant",
            "waiter",
            "waitress",
        ]
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
"""Kinds of words, a few of each: that is enough to compare groups, and too little to count what is said of them."""
ORIGINS = {"en": "English", "es": "Spanish", "id": "Indonesian", "tr": "Turkish", "zu": "Zulu"}
EVERYBODY = "all examples"
WORD = re.compile(r"\w+")
CONFIDENT = 1.96  # standard deviations of a 95 % interval
SEEN = 0.84  # and of what is seen in four of five samples
TOO_FEW = 30
MOST_EXAMPLES = 10_000
LIMITS = (
    "Lists of English words were counted, and names that are common among one group. Other languages, nicknames, irony "
    "and what is only implied are not seen; a word such as 'old' may speak of a thing, and names that were masked "
    "count for nobody.",
    "An example that mentions a group and a word need not say the word of the group.",
    "An example that mentions two groups counts for both.",
    "Many groups are compared: of twenty differences that are told, one or so may be chance.",
    "The intervals say how much chance there is in this sample. They do not say whether it is like the people whom a "
    "model will meet.",
)


class Beside(NamedTuple):
    """In how many of a group's examples a kind of word stands, too."""

    kind: str
    examples: int
    share: float
    low: float
    high: float
    """95 % interval (Wilson)."""


class Group(NamedTuple):
    """Who is mentioned in how many examples, and beside what."""

    name: str
    examples: int
    share: float
    """Of all examples."""
    is_enough: bool
    """Whether there are enough examples for the shares to mean much."""
    beside: list[Beside]


class Axis(NamedTuple):
    """Groups that are told apart by the same thing."""

    name: str
    groups: list[Group]
    differs: list[str]
    """Where one group stands beside a kind of word more often than another, by more than chance."""
    cannot_show: list[str]


class Bias(NamedTuple):
    """The bias table."""

    examples: int
    everybody: Group
    """What the groups are compared with."""
    axes: list[Axis]


def bias_of(examples: Sequence[Example], seed: int = 0) -> Bias:
    """Who is mentioned beside what, in at most so many examples, drawn by chance where there are more."""
    places = range(len(examples))
    if len(examples) > MOST_EXAMPLES:
        places = sorted(random.Random(seed).sample(places, MOST_EXAMPLES))  # type: ignore[assignment]
    count: Counter[tuple[str, str]] = Counter()
    beside: Counter[tuple[tuple[str, str], str]] = Counter()
    for place in places:
        text = "\n".join(message.text for message in examples[place].messages)
        words = set(WORD.findall(text.lower()))
        who = {("", EVERYBODY), *_called(words), *_named(text)}
        count.update(who)
        beside.update((one, kind) for kind, listed in BESIDE.items() if words & listed for one in who)

    def group(axis: str, name: str) -> Group:
        own = count[axis, name]
        hits = {kind: beside[(axis, name), kind] for kind in BESIDE}
        found = [Beside(kind, seen, seen / max(1, own), *wilson(seen, own)) for kind, seen in hits.items()]
        return Group(name, own, own / max(1, len(places)), own >= TOO_FEW, found)

    axes = {axis: list(groups) for axis, groups in GROUPS.items()} | {"name's origin": list(ORIGINS.values())}
    everybody = group("", EVERYBODY)
    return Bias(
        len(places), everybody, [_axis(axis, [group(axis, name) for name in names]) for axis, names in axes.items()]
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, CONFIDENT**2
    middle = share + square / (2 * count)
    margin = CONFIDENT * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, (middle - margin) / (1 + square / count)), min(1.0, (middle + margin) / (1 + square / count))


def _called(words: set[str]) -> Iterator[tuple[str, str]]:
    """By axis and group, of whom words and pronouns speak."""
    return ((axis, group) for axis, groups in GROUPS.items() for group, listed in groups.items() if words & listed)


def _named(text: str) -> Iterator[tuple[str, str]]:
    """By axis and group, who is called by a name."""
    for axis, group in groups_named(text):
        yield ("name's origin", ORIGINS[group]) if axis == "origin" else (axis, group)


def _axis(name: str, groups: list[Group]) -> Axis:
    enough = [group for group in groups if group.is_enough]
    differs = [said for one, other in combinations(enough, 2) for said in _differences(one, other)]
    return Axis(name, [group for group in groups if group.examples], differs, list(_cannot_show(groups, enough)))


def _differences(one: Group, other: Group) -> Iterator[str]:
    """Where the interval of the difference does not hold 0 (Newcombe 1998, method 10)."""
    for ours, theirs in zip(one.beside, other.beside, strict=True):
        more, less = (ours, theirs) if ours.share > theirs.share else (theirs, ours)
        named = (one.name, other.name) if more is ours else (other.name, one.name)
        if more.share - less.share > math.hypot(more.share - more.low, less.high - less.share):
            yield (
                f"{more.kind} stand beside {named[0]} in {more.share:.0%} of their examples, and beside {named[1]} in "
                f"{less.share:.0%}"
            )


def _cannot_show(groups: Sequence[Group], enough: Sequence[Group]) -> Iterator[str]:
    """What the sample is too small for, in words."""
    if missing := [group.name for group in groups if not group.examples]:
        yield f"Nobody speaks of {_listed(missing)}: how a model treats them, this data does not decide."
    if few := [f"{group.name} ({group.examples})" for group in groups if group.examples and not group.is_enough]:
        yield f"Too few examples speak of {_listed(few)} to say anything of them."
    if len(enough) > 1:
        one, other = sorted(enough, key=lambda group: group.examples)[:2]
        yield (
            f"Between {one.name} and {other.name} only differences of about {_least_seen(one, other):.0%} or more are "
            "likely to be seen: smaller ones may be there."
        )


def _least_seen(one: Group, other: Group) -> float:
    """The difference that four of five samples of this size show, where it is hardest among the kinds of words."""

    def least(ours: Beside, theirs: Beside) -> float:
        share = min(0.5, max(0.05, (ours.examples + theirs.examples) / (one.examples + other.examples)))
        return (CONFIDENT + SEEN) * math.sqrt(share * (1 - share) * (1 / one.examples + 1 / other.examples))

    return max(least(ours, theirs) for ours, theirs in zip(one.beside, other.beside, strict=True))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
