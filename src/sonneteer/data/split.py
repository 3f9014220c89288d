"""Train, validation and test, with no group on two sides.

A group is everything that must stay together: examples of the same person, conversation or document, and examples
that ask the same. Groups are ordered by a keyed hash of their content and dealt out until the shares are met, so the
split follows from content and seed, and not from the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import Example, SplitName, fingerprint_of


def split(examples: Sequence[Example], settings: DataSettings, seed: int) -> list[SplitName]:
    """The side of each example. Raises DataError where there are too few groups for the sides that are wanted."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups(examples, settings.keep_together)):
        members[group].append(index)
    wanted: dict[SplitName, float] = {"test": settings.test_share, "validation": settings.validation_share}
    wanted = {side: share for side, share in wanted.items() if share > 0}
    if len(members) <= len(wanted):
        raise DataError(
            f"data: {len(examples)} examples form {len(members)} groups that must stay together, too few for "
            f"{len(wanted) + 1} sides. Bring more data, or set data.validation_share or data.test_share to 0."
        )
    sides: dict[int, SplitName] = {}
    waiting = sorted(members, key=lambda group: _lot(seed, [examples[i] for i in members[group]]))
    for side, share in wanted.items():
        for group in _dealt(waiting, members, round(share * len(examples)), len(wanted)):
            sides[group] = side
        waiting = [group for group in waiting if group not in sides]
    side_of = {index: sides.get(group, "train") for group, indices in members.items() for index in indices}
    return [side_of[index] for index in range(len(examples))]


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
        for key in _bonds(example, keep_together):
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(examples))]


def _bonds(example: Example, keep_together: Iterable[str]) -> Iterable[Hashable]:
    yield from ((tag, example.tags[tag]) for tag in keep_together if example.tags.get(tag))
    if not example.is_text:
        yield "prompt", fingerprint_of([m.model_dump(mode="json") for m in example.prompt.messages])


def _lot(seed: int, group: list[Example]) -> str:
    content = min(example.id for example in group)
    return hashlib.sha256(f"{seed}-{content}".encode()).hexdigest()


def _dealt(waiting: list[int], members: dict[int, list[int]], wanted: int, others: int) -> list[int]:
    """Groups in the order of their lots until the share is met; one that would overshoot is passed over."""
    dealt: list[int] = []
    count = 0
    for group in waiting[: len(waiting) - others + 1] if others else waiting:
        size = len(members[group])
        if count and count + size > wanted:
            continue
        dealt.append(group)
        count += size
        if count >= wanted:
            break
    return dealt
