"""Train, validation and test, with no group on two sides.

A group is everything that must stay together: examples of the same person, conversation or document, and examples
that ask the same. Groups are ordered by a keyed hash of their content and dealt out until the shares are met, so the
split follows from content and seed, and not from the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Example, SplitName, fingerprint_of


class Group(NamedTuple):
    """Examples, by their indices, that must not be parted."""

    lot: str
    indices: list[int]


def split(examples: Sequence[Example], settings: DataSettings, seed: int) -> list[SplitName]:
    """The side of each example. Raises DataError where there are too few groups for the sides that are wanted."""
    shares: dict[SplitName, float] = {"test": settings.test_share, "validation": settings.validation_share}
    shares = {side: share for side, share in shares.items() if share > 0}
    waiting = sorted(_drawn(examples, settings.keep_together, seed))
    if len(waiting) <= len(shares):
        settings_named = " or ".join(f"data.{side}_share" for side in shares)
        raise DataError(
            f"{len(examples)} examples are too few: what must stay together makes {len(waiting)} groups of them, and "
            f"{', '.join(shares)} and train need at least one each. Bring more data, set {settings_named} to 0, or "
            "keep less together (data.keep_together)."
        )
    sides: list[SplitName] = ["train"] * len(examples)
    for rank, (side, share) in enumerate(shares.items()):
        dealt = _dealt(waiting, share * len(examples), needed_elsewhere=len(shares) - rank)
        for group in dealt:
            for index in group.indices:
                sides[index] = side
        gone = {group.lot for group in dealt}
        waiting = [group for group in waiting if group.lot not in gone]
    return sides


def groups(examples: Sequence[Example], keep_together: Iterable[str]) -> list[int]:
    """A number for each example; equal numbers must not be parted. Union-find over shared tags and equal prompts."""
    parent = list(range(len(examples)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    for index, example in enumerate(examples):
        for bond in _bonds(example, keep_together):
            parent[root(index)] = root(first.setdefault(bond, index))
    return [root(index) for index in range(len(examples))]


def _bonds(example: Example, keep_together: Iterable[str]) -> Iterable[Hashable]:
    """What an example shares with others of its group."""
    yield from ((tag, example.tags[tag]) for tag in keep_together if example.tags.get(tag))
    asked = example.messages if example.is_text else example.prompt.messages
    yield fingerprint_of([message.model_dump(mode="json") for message in asked])


def _drawn(examples: Sequence[Example], keep_together: Iterable[str], seed: int) -> list[Group]:
    """The groups, each with the lot that it draws: a hash of the seed and of its smallest fingerprint."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups(examples, keep_together)):
        members[group].append(index)
    smallest = {group: min(examples[index].id for index in indices) for group, indices in members.items()}
    return [
        Group(hashlib.sha256(f"{seed}-{smallest[group]}".encode()).hexdigest(), indices)
        for group, indices in members.items()
    ]


def _dealt(waiting: list[Group], wanted: float, needed_elsewhere: int) -> list[Group]:
    """Groups in the order of their lots that come as near as may be to so many examples: at least one."""
    dealt: list[Group] = []
    rest: list[Group] = []
    count = 0
    for group in waiting:
        is_group_left = len(waiting) - len(dealt) > needed_elsewhere
        if is_group_left and count + len(group.indices) <= wanted:
            dealt.append(group)
            count += len(group.indices)
        else:
            rest.append(group)
    smallest = min(rest, key=lambda group: len(group.indices))
    comes_nearer = abs(count + len(smallest.indices) - wanted) < wanted - count
    if not dealt or (comes_nearer and len(rest) > needed_elsewhere):
        dealt.append(smallest)
    return dealt
