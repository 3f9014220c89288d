"""Conversations that say nearly the same: found by MinHash, and then compared exactly.

A conversation is the set of its three-word sequences; in writing without spaces every letter counts as a word. MinHash
signatures (rensa) are cut into bands; two that agree in a band are candidates, and count as near-duplicates only where
the Jaccard index of the sets themselves reaches the threshold. Bands are sorted one after the other, so memory grows
with the signatures alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.data.candidates import Candidate
from sonneteer.data.hands import Hands
from sonneteer.records import Example
from sonneteer.words import words_in

PERMUTATIONS = 128
WORDS_IN_SHINGLE = 3
SEED = 17
AT_ONCE = 2000
ALONE = Hands()
MOST_IN_BUCKET = 64
"""So many earlier members of a bucket that belong to different clusters are compared with a new one."""
MISSED_WEIGHT = 0.9
"""What a missed pair costs, against a candidate that fails the exact comparison: that one only costs time."""


class Alike(NamedTuple):
    """For each conversation its cluster, and the one that it was found to resemble."""

    clusters: list[int]
    """The index of the cluster's first conversation; its own where it is like no other."""
    partners: dict[int, tuple[int, float]]
    """For all but the first of a cluster: an earlier member, and the Jaccard index with it."""


def near_duplicates(candidates: Sequence[Candidate], threshold: float, hands: Hands = ALONE) -> Alike:
    """Clusters of conversations of which each resembles another one of its cluster at least so much."""
    signatures = _signatures(candidates, hands)
    clusters = _Clusters(len(candidates))

    @lru_cache(maxsize=4_000)
    def shingles_of(index: int) -> frozenset[str]:
        return frozenset(_shingles_in(candidates[index].line))

    for bucket in _buckets(signatures, threshold):
        heads: list[int] = []
        for index in bucket:
            apart = [head for head in heads if not clusters.are_one(head, index)]
            for head in apart:
                share = jaccard(shingles_of(head), shingles_of(index))
                if share >= threshold and not clusters.are_one(head, index):
                    clusters.join(head, index, share)
            if len(heads) < MOST_IN_BUCKET and all(not clusters.are_one(head, index) for head in heads):
                heads.append(index)
    return Alike([clusters.first_of(index) for index in range(len(candidates))], clusters.partners())


def shingles(example: Example) -> list[str]:
    """Three-word sequences of what user and assistant said. A shared system prompt makes nobody alike."""
    return _sequences(" ".join(message.text for message in example.messages if message.role != "system"))


def _shingles_in(line: str) -> list[str]:
    """The same of an example's line, without unpacking it."""
    messages = json.loads(line)["messages"]
    return _sequences(" ".join(message.get("text", "") for message in messages if message["role"] != "system"))


def _sequences(said: str) -> list[str]:
    words = words_in(said.lower())
    padded = ["", "", *words, ""] if words else []
    return list(map(" ".join, zip(padded, padded[1:], padded[2:], strict=False)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the sequences of both that both have."""
    common = len(one & other)
    return common / max(1, len(one) + len(other) - common)


@cache
def bands_for(threshold: float, permutations: int = PERMUTATIONS) -> tuple[int, int]:
    """Bands, and rows in each, that miss least and find least in vain (Leskovec et al., section 3.4.3)."""
    shares = np.linspace(0, 1, 400)
    best, chosen = np.inf, (1, permutations)
    for rows in range(1, permutations + 1):
        for bands in range(1, permutations // rows + 1):
            found = 1 - (1 - shares**rows) ** bands
            missed = (1 - found)[shares >= threshold].mean() * (1 - threshold)
            in_vain = found[shares < threshold].mean() * threshold
            cost = MISSED_WEIGHT * missed + (1 - MISSED_WEIGHT) * in_vain
            if cost < best:
                best, chosen = cost, (bands, rows)
    return chosen


def _signatures(candidates: Sequence[Candidate], hands: Hands) -> NDArray[np.uint32]:
    """One row of MinHash values for each conversation."""
    starts = range(0, len(candidates), AT_ONCE)
    lines = ([one.line for one in candidates[start : start + AT_ONCE]] for start in starts)
    signatures = np.empty((len(candidates), PERMUTATIONS), np.uint32)
    for start, some in zip(starts, hands.spread(_signed, lines), strict=True):
        signatures[start : start + len(some)] = some
    return signatures


def _signed(lines: Sequence[str]) -> NDArray[np.uint32]:
    from rensa import RMinHash

    signatures = np.empty((len(lines), PERMUTATIONS), np.uint32)
    for place, line in enumerate(lines):
        # One by one: rensa does many at once in threads of its own, which a process that was forked does not have.
        signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        signature.update(_shingles_in(line))
        signatures[place] = signature.digest()
    return signatures


def _buckets(signatures: NDArray[np.uint32], threshold: float) -> Iterator[list[int]]:
    """Conversations that agree in a band, in their order, band after band."""
    bands, rows = bands_for(threshold)
    weights = np.random.default_rng(SEED).integers(1, 2**63, rows, np.uint64) | np.uint64(1)
    for band in range(bands):
        keys = (signatures[:, band * rows : (band + 1) * rows] * weights).sum(axis=1)  # wraps: a hash of the band
        order = np.argsort(keys, kind="stable")
        is_same = np.concatenate([[False], np.diff(keys[order]) == 0, [False]])
        starts, ends = np.flatnonzero(~is_same[:-1] & is_same[1:]), np.flatnonzero(is_same[:-1] & ~is_same[1:])
        yield from (order[start : end + 1].tolist() for start, end in zip(starts, ends, strict=True))


class _Clusters:
    """Union-find in which the smallest index stands for its cluster, with the reasons for the joins."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._joins: list[tuple[int, int, float]] = []

    def first_of(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def are_one(self, one: int, other: int) -> bool:
        return self.first_of(one) == self.first_of(other)

    def join(self, one: int, other: int, share: float) -> None:
        first, second = sorted((self.first_of(one), self.first_of(other)))
        self._parent[second] = first
        self._joins.append((one, other, share))

    def partners(self) -> dict[int, tuple[int, float]]:
        """For each but the first of a cluster a member that comes before it on the way from the first."""
        beside: dict[int, list[tuple[int, float]]] = {}
        for one, other, share in self._joins:
            beside.setdefault(one, []).append((other, share))
            beside.setdefault(other, []).append((one, share))
        partners: dict[int, tuple[int, float]] = {}
        for first in sorted({self.first_of(index) for index in beside}):
            waiting = [first]
            while waiting:
                index = waiting.pop()
                for neighbour, share in beside[index]:
                    if neighbour != first and neighbour not in partners:
                        partners[neighbour] = (index, share)
                        waiting.append(neighbour)
        return partners
