"""Train, validation and test, with no group on two sides.

A group is everything that must stay together: examples of the same person, conversation or document, examples that ask
the same, and near-duplicates. Groups are ordered by a keyed hash of their content and dealt out until the shares are
met, so the split follows from content and seed, and not from the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sonneteer.data.bonds import Member, crossing, groups
from sonneteer.errors import DataError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import KEPT, SplitName

PRECEDENCE: tuple[SplitName, ...] = ("test", "validation", "train")
"""Whose examples stay where a group is officially on several sides."""


class Group(NamedTuple):
    """Examples, by their indices, that must not be parted."""

    lot: str
    indices: list[int]


class Split(NamedTuple):
    """The side of each example; nothing where it would leak into another side, with the one that it is bound to."""

    sides: list[SplitName | None]
    leaks: dict[int, tuple[str, int]]
    """By index: the kind of bond, and an example on the other side."""


def split(members: Sequence[Member], settings: DataSettings, seed: int) -> Split:
    """The side of each example. Raises DataError where there are too few groups for the sides that are wanted."""
    drawn = _drawn(members, seed)
    official = {member.side for member in members} - {None}
    sides: list[SplitName | None] = [member.side for member in members]
    free: list[Group] = []
    for group in drawn:
        fixed = {members[index].side for index in group.indices} - {None}
        if not fixed:
            free.append(group)
        for index in group.indices if fixed else ():
            sides[index] = sides[index] or next(side for side in PRECEDENCE if side in fixed)
    wanted = _wanted(settings, sum(len(group.indices) for group in free), official)
    for side, indices in _dealt_out(free, members, wanted, settings).items():
        for index in indices:
            sides[index] = side
    leaks = _leaks(members, sides) if settings.leaks == "drop" else {}
    return Split([None if index in leaks else side for index, side in enumerate(sides)], leaks)


def _wanted(settings: DataSettings, count: int, official: Iterable[SplitName | None]) -> dict[SplitName, float]:
    """How many examples each side gets besides train. A side that some source is officially for gets no others."""
    by_number = {"test": settings.test_examples, "validation": settings.validation_examples}
    by_share = {"test": settings.test_share, "validation": settings.validation_share}
    wanted: dict[SplitName, float] = {}
    for side in PRECEDENCE[:-1]:
        number = by_number[side]
        size = by_share[side] * count if number is None else float(number)
        if size > 0 and side not in official and count:
            wanted[side] = size
    return wanted


def _drawn(members: Sequence[Member], seed: int) -> list[Group]:
    """The groups, each with the lot that it draws: a hash of the seed and of its smallest fingerprint."""
    held: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups([member.bonds for member in members])):
        held[group].append(index)
    smallest = {group: min(members[index].id for index in indices) for group, indices in held.items()}
    drawn = (
        Group(hashlib.sha256(f"{seed}-{smallest[group]}".encode()).hexdigest(), indices)
        for group, indices in held.items()
    )
    return sorted(drawn)


def _dealt_out(
    free: list[Group], members: Sequence[Member], wanted: dict[SplitName, float], settings: DataSettings
) -> dict[SplitName, list[int]]:
    """The examples of each side."""
    _refuse_too_few(free, wanted, settings)
    is_train_official = any(member.side == "train" for member in members)
    dealt: dict[SplitName, list[int]] = {}
    for rank, (side, size) in enumerate(wanted.items()):
        needed = len(wanted) - rank - is_train_official
        if settings.split_by_time:
            chosen = _newest(free, members, size, needed)
        elif settings.stratify_by:
            chosen = _stratified(free, members, size, needed)
        else:
            chosen = _dealt(free, size, needed)
        dealt[side] = [index for group in chosen for index in group.indices]
        gone = {group.lot for group in chosen}
        free = [group for group in free if group.lot not in gone]
    return dealt | {"train": [index for group in free for index in group.indices]}


def _refuse_too_few(free: Sequence[Group], wanted: dict[SplitName, float], settings: DataSettings) -> None:
    count = sum(len(group.indices) for group in free)
    if len(free) <= len(wanted) and wanted:
        named = " or ".join(f"data.{side}_share" for side in wanted)
        made = "a single group" if len(free) == 1 else f"{len(free)} groups"
        raise DataError(
            f"{count} examples are too few: what must stay together makes {made} of them, and {', '.join(wanted)} and "
            f"train need at least one each. Bring more data, set {named} to 0, or keep less together "
            "(data.keep_together, data.clean.near_duplicates)."
        )
    if sum(wanted.values()) >= count and wanted:
        numbers = ", ".join(f"{size:g} for {side}" for side, size in wanted.items())
        raise DataError(f"Of {count} examples {numbers} leave nothing to learn. Ask for fewer.")


def _dealt(waiting: Sequence[Group], wanted: float, needed_elsewhere: int) -> list[Group]:
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


def _stratified(
    waiting: Sequence[Group], members: Sequence[Member], wanted: float, needed_elsewhere: int
) -> list[Group]:
    """Groups in the order of their lots, so that each stratum gives its share; what rounding leaves is dealt last."""
    sizes: Counter[str] = Counter()
    strata = [Counter(members[index].stratum for index in group.indices).most_common(1)[0][0] for group in waiting]
    for stratum, group in zip(strata, waiting, strict=True):
        sizes[stratum] += len(group.indices)
    share = wanted / sum(sizes.values())
    dealt: dict[str, Group] = {}
    counts: Counter[str] = Counter()

    def deal(order: Iterable[int], most_above: float) -> None:
        for place in order:
            group, stratum = waiting[place], strata[place]
            size = len(group.indices)
            fits = counts[stratum] + size < share * sizes[stratum] + most_above
            fits = fits and counts.total() + size <= wanted + 0.5
            if fits and group.lot not in dealt and len(waiting) - len(dealt) > needed_elsewhere:
                dealt[group.lot] = group
                counts[stratum] += size

    deal(range(len(waiting)), most_above=1e-9)
    lacking = {stratum: share * size - counts[stratum] for stratum, size in sizes.items()}
    deal(sorted(range(len(waiting)), key=lambda place: -lacking[strata[place]]), most_above=1)
    return list(dealt.values()) or _dealt(waiting, wanted, needed_elsewhere)


def _newest(waiting: Sequence[Group], members: Sequence[Member], wanted: float, needed_elsewhere: int) -> list[Group]:
    """The groups whose oldest example is newest, until there are so many examples: at least one group."""
    oldest = {group.lot: min(_moment(members[index]) for index in group.indices) for group in waiting}
    dealt: list[Group] = []
    count = 0
    for group in sorted(waiting, key=lambda group: oldest[group.lot], reverse=True):
        if len(waiting) - len(dealt) <= needed_elsewhere or (dealt and count + len(group.indices) / 2 > wanted):
            break
        dealt.append(group)
        count += len(group.indices)
    return dealt


def _moment(member: Member) -> float:
    """The tag `time` as seconds: a number, or a date as ISO 8601 writes it."""
    try:
        return float(member.time)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(member.time)
    except ValueError as problem:
        said = "is no time on some examples" if member.time else "is missing on some examples"
        raise DataError(
            f"data.split_by_time needs the tag 'time' on every example, such as 2026-03-01T12:30, but it {said}."
        ) from problem
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _leaks(members: Sequence[Member], sides: Sequence[SplitName | None]) -> dict[int, tuple[str, int]]:
    """Those of a weaker side that share a bond with an example of a stronger one."""
    known = [side or KEPT[0] for side in sides]
    leaks: dict[int, tuple[str, int]] = {}
    for (kind, _), indices in crossing(known, [member.bonds for member in members]).items():
        strongest = min(indices, key=lambda index: PRECEDENCE.index(known[index]))
        leaks |= {index: (kind, strongest) for index in indices if known[index] != known[strongest]}
    return leaks
