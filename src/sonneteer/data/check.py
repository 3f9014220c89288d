"""Proof, from the frozen files alone, that no side of a split knows another, and that the account balances."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import NamedTuple

from sonneteer.data.bonds import ALIKE, Bond, bonds_of, crossing
from sonneteer.data.candidates import Candidate
from sonneteer.data.counterfactual import SWAPPED
from sonneteer.data.freeze import read_ledger, read_split
from sonneteer.data.hands import hands_of
from sonneteer.data.near_duplicates import near_duplicates
from sonneteer.recipe.sections import DataSettings
from sonneteer.records import DatasetVersion, SplitName
from sonneteer.store import Store

SHOWN = 5
APART: tuple[tuple[SplitName, SplitName], ...] = (
    ("train", "test"),
    ("train", "validation"),
    ("validation", "test"),
    ("replay", "test"),
    ("replay", "validation"),
)
"""Sides that may have nothing in common."""


class Leak(NamedTuple):
    """What two sides have in common, of one kind."""

    kind: str
    between: str
    """The sides, as in `train, test`."""
    values: int
    """How many different questions, persons, clusters: each counts once."""
    examples: int
    places: list[str]
    """Source rows of the first of them."""


class Proof(NamedTuple):
    """What the check of a data set found."""

    examples: int
    leaks: list[Leak]
    problems: list[str]
    """Of files and account."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.leaks and not self.problems


def check(store: Store, dataset: DatasetVersion, data: DataSettings) -> Proof:
    """Compare all sides of a frozen data set with one another, whatever its preparation did."""
    sides: list[SplitName] = []
    candidates: list[Candidate] = []
    for side in dataset.splits:
        for example in read_split(store, dataset, side):
            sides.append(side)
            candidates.append(Candidate.of(side, len(sides), example))
    bonds: list[tuple[Bond, ...]] = [tuple(bonds_of(one, data.keep_together)) for one in candidates]
    clusters = near_duplicates(candidates, data.clean.near_duplicate_share, hands_of(data)).clusters
    bonds = [(*own, (ALIKE, str(cluster))) for own, cluster in zip(bonds, clusters, strict=True)]
    places = {(entry.fate, entry.example_id): f"{entry.source}:{entry.row}" for entry in read_ledger(store, dataset)}
    named = [places.get((side, one.id), "a swapped copy") for side, one in zip(sides, candidates, strict=True)]
    return Proof(len(candidates), _leaks(sides, bonds, named), _problems(store, dataset, candidates, sides))


def _leaks(sides: list[SplitName], bonds: list[tuple[Bond, ...]], places: list[str]) -> list[Leak]:
    found: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for (kind, _), indices in crossing(sides, bonds).items():
        held = {sides[index] for index in indices}
        for one, other in APART:
            if one in held and other in held:
                found[kind, f"{one}, {other}"].append([index for index in indices if sides[index] in (one, other)])
    return [
        Leak(
            kind,
            between,
            len(shared),
            sum(map(len, shared)),
            [" = ".join(places[index] for index in indices[:3]) for indices in shared[:SHOWN]],
        )
        for (kind, between), shared in found.items()
    ]


def _problems(store: Store, dataset: DatasetVersion, candidates: list[Candidate], sides: list[SplitName]) -> list[str]:
    problems = []
    for name in (dataset.ledger_file, *(split.file for split in dataset.splits.values())):
        if hashlib.sha256(store.path(name).read_bytes()).hexdigest() != name.partition(".")[0]:
            problems.append(f"{name} is not what was frozen: its SHA-256 is another. Prepare the data again.")
    entries = read_ledger(store, dataset)
    if Counter(entry.fate for entry in entries) != Counter(dataset.totals):
        problems.append("The ledger's fates do not add up to the totals of the data set.")
    rows = sum(source.rows for source in dataset.sources)
    if rows != len(entries):
        problems.append(f"The sources had {rows} rows, but the ledger has {len(entries)}.")
    held = Counter(
        (side, candidate.id)
        for side, candidate in zip(sides, candidates, strict=True)
        if SWAPPED not in candidate.tags  # a copy has no row of its own
    )
    told = Counter((entry.fate, entry.example_id) for entry in entries if entry.fate in dataset.splits)
    if held != told:
        problems.append("The splits hold other examples than the ledger says.")
    return problems
