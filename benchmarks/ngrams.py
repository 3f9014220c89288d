"""The yardstick of a language model: interpolated Kneser-Ney n-grams over its own tokens (Chen & Goodman 1999).

Counts are sorted arrays of hashed n-grams, so that ten million tokens fit into a few hundred megabytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DISCOUNT = 0.75
Ids = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Counts = NDArray[np.float64]


class Table(NamedTuple):
    """How often each n-gram comes, and of each context: how often, and how many different words follow."""

    grams: Hashes
    counts: Counts
    contexts: Hashes
    totals: Counts
    followers: Counts


class NGrams:
    """An n-gram model. Order 1 is the unigram distribution of the training tokens."""

    def __init__(self, ids: Ids, order: int, vocabulary_size: int) -> None:
        self._vocabulary_size = vocabulary_size
        self._tables = [_table(ids, n, is_highest=n == order) for n in range(1, order + 1)]

    def log_probs(self, ids: Ids) -> Counts:
        """Natural logarithm of each token's probability after the tokens before it, the first one left out."""
        probabilities = np.full(len(ids), 1 / self._vocabulary_size)
        for n, table in enumerate(self._tables, 1):
            seen = np.zeros(len(ids), bool)
            seen[n - 1 :] = True
            grams, contexts = _hashes(ids, n), _hashes(ids, n - 1)[: len(ids) - n + 1]
            count = _look_up(table.grams, table.counts, grams)
            total = _look_up(table.contexts, table.totals, contexts)
            followers = _look_up(table.contexts, table.followers, contexts)
            lower = probabilities[n - 1 :]
            discounted = np.maximum(count - DISCOUNT, 0) + DISCOUNT * followers * lower
            probabilities[n - 1 :] = np.where(total > 0, discounted / np.maximum(total, 1), lower)
        return np.asarray(np.log(probabilities[1:]))


def _table(ids: Ids, n: int, is_highest: bool) -> Table:
    """Raw counts for the highest order; for the others, how many different words come before (continuations)."""
    hashes = _hashes(ids, n)
    if is_highest:
        grams, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    else:
        _, longer_first = np.unique(_hashes(ids, n + 1), return_index=True)
        grams, place, counts = np.unique(hashes[longer_first + 1], return_index=True, return_counts=True)
        first = longer_first[place] + 1
    contexts, inverse = np.unique(_hashes(ids, n - 1)[first], return_inverse=True)
    totals = np.bincount(inverse, weights=counts)
    return Table(grams, counts.astype(float), contexts, totals, np.bincount(inverse).astype(float))


def _hashes(ids: Ids, n: int) -> Hashes:
    """A 64-bit number for each run of n tokens; for n = 0 the same number everywhere."""
    count = len(ids) - n + 1
    mixed = np.full(count, 1469598103934665603, np.uint64)
    for offset in range(n):
        mixed = (mixed ^ (ids[offset : offset + count].astype(np.uint64) + np.uint64(1))) * np.uint64(
            0x9E3779B97F4A7C15
        )
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _look_up(keys: Hashes, values: Counts, wanted: Hashes) -> Counts:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
