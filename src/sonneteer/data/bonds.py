"""What binds examples together, so that no side of a split may hold one and another side the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from sonneteer.data.candidates import Candidate
from sonneteer.errors import RecipeError
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import SplitName

QUESTION, ALIKE = "question", "near-duplicate"

Bond = tuple[str, str]
"""What kind of bond it is, and the value that those share who are bound."""


class Member(NamedTuple):
    """What the split needs to know of an example."""

    id: str
    bonds: tuple[Bond, ...]
    side: SplitName | None = None
    """The side that its source is officially for."""
    stratum: str = ""
    time: str = ""


def member_of(candidate: Candidate, keep_together: Sequence[str], stratify_by: str | None = None) -> Member:
    """A candidate as the split sees it."""
    tags = candidate.tags
    near = [(ALIKE, candidate.cluster)] if candidate.cluster else []
    return Member(
        candidate.id,
        (*_bonds(candidate.question, tags, keep_together), *near),
        candidate.side,
        tags.get(stratify_by, "") if stratify_by else "",
        tags.get("time", ""),
    )


def bonds_of(candidate: Candidate, keep_together: Sequence[str]) -> list[Bond]:
    """What it shares with others: values of tags, and its question."""
    return _bonds(candidate.question, candidate.tags, keep_together)


def _bonds(question: str, tags: Mapping[str, str], keep_together: Sequence[str]) -> list[Bond]:
    return [*((tag, tags[tag]) for tag in keep_together if tags.get(tag)), (QUESTION, question)]


def refuse_unknown_tags(candidates: Iterable[Candidate], data: DataSettings) -> None:
    """Raises RecipeError for tags that a setting names and no example has: it would do nothing, and nobody would know.

    The usual tags of `keep_together` may be missing.
    """
    usual = DataSettings.model_fields["keep_together"].default
    named = {tag: "data.keep_together" for tag in data.keep_together if tag not in usual}
    named |= {data.stratify_by: "data.stratify_by"} if data.stratify_by else {}
    named |= {data.balance.by: "data.balance.by"} if data.balance.by else {}
    known: set[str] = set()
    for candidate in candidates if named else ():
        known |= candidate.tags.keys()
        if named.keys() <= known:
            return
    problems = []
    for tag, setting in named.items():
        near = get_close_matches(tag, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(sorted(known))}."
        problems += [] if tag in known else [f"{setting}: no example has the tag '{tag}'. {hint}"]
    if problems:
        raise RecipeError(problems)


def groups(bonds: Sequence[Sequence[Hashable]]) -> list[int]:
    """A number for each example; equal numbers must not be parted. Union-find over equal bonds."""
    parent = list(range(len(bonds)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    for index, own in enumerate(bonds):
        for bond in own:
            parent[root(index)] = root(first.setdefault(bond, index))
    return [root(index) for index in range(len(bonds))]


def crossing(sides: Sequence[SplitName], bonds: Sequence[Sequence[Bond]]) -> dict[Bond, list[int]]:
    """Bonds that reach over two sides, with the examples that have them."""
    held: dict[Bond, list[int]] = defaultdict(list)
    for index, own in enumerate(bonds):
        for bond in own:
            held[bond].append(index)
    return {bond: indices for bond, indices in held.items() if len({sides[index] for index in indices}) > 1}
