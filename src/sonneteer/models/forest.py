"""A batch as a forest: each prefix that sequences share is stored, and computed, once.

Sequences that begin alike share rows; a row attends to its ancestors only, and its position is its depth. What is
learned is a list of terms (row, target, weight), so a fork, where one row has several next tokens, stays exact.
Sharing prefixes in training is the idea of Tree Training (arXiv 2511.00413) and of prefix sharing for preference
pairs (arXiv 2410.20305), here for any sequences and any objective.

Shape letters: N rows (unique tokens), M terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from sonneteer.records import Rendered

Rows = NDArray[np.int64]
Span = tuple[int, int]


class Segment(NamedTuple):
    """Consecutive rows without a fork: rows `start` to `end`, the first one at `depth`."""

    start: int
    end: int
    depth: int
    ancestors: tuple[Span, ...]
    """Spans of the rows on the path from the root to this segment, root first."""


class Terms(NamedTuple):
    """What is learned: row `rows_M[m]` predicts `targets_M[m]` with `weights_M[m]` for sequence `sequences_M[m]`."""

    rows_M: torch.Tensor
    targets_M: torch.Tensor
    weights_M: torch.Tensor
    sequences_M: torch.Tensor


@dataclass(frozen=True)
class Forest:
    """Unique tokens of a batch in depth-first order, and the terms of its loss."""

    ids_N: torch.Tensor
    positions_N: torch.Tensor
    segments: tuple[Segment, ...]
    terms: Terms
    sequences: int
    naive_tokens: int
    """Tokens of all sequences, shared prefixes counted each time."""

    @property
    def unique_tokens(self) -> int:
        """Tokens that are computed."""
        return self.ids_N.numel()

    def to(self, device: torch.device | str) -> Forest:
        """The same forest with its tensors on another device."""
        terms = Terms(*(tensor.to(device) for tensor in self.terms))
        ids, positions = self.ids_N.to(device), self.positions_N.to(device)
        return Forest(ids, positions, self.segments, terms, self.sequences, self.naive_tokens)

    def filled(self, multiple: int) -> Forest:
        """The same forest with idle rows at its end, up to a multiple: nothing attends to them or is learned there."""
        idle = -self.unique_tokens % multiple
        if not idle:
            return self
        ids, positions = pad(self.ids_N, (0, idle)), pad(self.positions_N, (0, idle))
        segment = Segment(self.unique_tokens, self.unique_tokens + idle, 0, ())
        return Forest(ids, positions, (*self.segments, segment), self.terms, self.sequences, self.naive_tokens)


def plant(sequences: Sequence[Rendered], share: bool = True) -> Forest:
    """Lay out sequences as a forest.

    `share=False` gives each sequence rows of its own (plain packing without padding). Sorting puts shared prefixes
    next to each other, so the trie follows from the lengths of adjacent common prefixes in O(tokens) numpy work.

    Raises ValueError for an empty batch or an empty sequence.
    """
    if not sequences or any(not sequence.ids for sequence in sequences):
        raise ValueError("a forest needs at least one sequence, and no empty one")
    ids = [np.asarray(sequence.ids, dtype=np.int64) for sequence in sequences]
    trunk = _lay_out(ids, share)
    return Forest(
        ids_N=torch.from_numpy(trunk.ids),
        positions_N=torch.from_numpy(trunk.depths),
        segments=_segments(trunk),
        terms=_terms(sequences, ids, trunk.rows),
        sequences=len(sequences),
        naive_tokens=sum(len(x) for x in ids),
    )


def rows_of(sequences: Sequence[Rendered]) -> list[Rows]:
    """The rows that each sequence has in the forest that `plant` makes of them."""
    return _lay_out([np.asarray(sequence.ids, dtype=np.int64) for sequence in sequences], share=True).rows


def sort_order(ids: Sequence[Rows]) -> list[int]:
    """Order in which sequences that begin alike are neighbours. Big-endian bytes compare as the numbers do."""
    return sorted(range(len(ids)), key=lambda i: ids[i].astype(">i8").tobytes())


def common_prefix(a: Rows, b: Rows) -> int:
    """Number of leading tokens that two sequences share."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if different.size else length


class _Trunk(NamedTuple):
    ids: Rows
    depths: Rows
    rows: list[Rows]
    """Rows of each sequence, in the order of the batch."""
    starts: list[int]
    """Rows at which a segment begins."""
    owners: list[int]
    """For each piece of new rows: the sequence that brought it."""
    pieces: list[int]
    """First row of each piece of new rows."""


def _lay_out(ids: list[Rows], share: bool) -> _Trunk:
    rows: list[Rows] = [np.empty(0, np.int64)] * len(ids)
    new_ids, depths, starts, owners, pieces = [], [], [], [], []
    count, previous = 0, -1
    for i in sort_order(ids):
        shared = common_prefix(ids[previous], ids[i]) if share and previous >= 0 else 0
        fresh = len(ids[i]) - shared
        rows[i] = np.concatenate([rows[previous][:shared], np.arange(count, count + fresh)])
        if shared:
            starts.append(int(rows[previous][shared - 1]) + 1)  # the fork ends the segment that it grows from
        if fresh:
            starts.append(count)
            owners.append(i)
            pieces.append(count)
            new_ids.append(ids[i][shared:])
            depths.append(np.arange(shared, len(ids[i])))
        count, previous = count + fresh, i
    return _Trunk(np.concatenate(new_ids), np.concatenate(depths), rows, starts, owners, pieces)


def _segments(trunk: _Trunk) -> tuple[Segment, ...]:
    count = len(trunk.ids)
    bounds = [*np.unique([start for start in trunk.starts if start < count]).tolist(), count]
    owner_of = np.searchsorted(trunk.pieces, bounds[:-1], side="right") - 1
    segments = []
    for start, end, piece in zip(bounds[:-1], bounds[1:], owner_of, strict=True):
        depth = int(trunk.depths[start])
        path = trunk.rows[trunk.owners[int(piece)]][:depth]
        segments.append(Segment(start, end, depth, spans_of(path)))
    return tuple(segments)


def spans_of(path: Rows) -> tuple[Span, ...]:
    """Rows in ascending order as spans of neighbours."""
    if not len(path):
        return ()
    breaks = np.flatnonzero(np.diff(path) != 1)
    first = np.concatenate([[0], breaks + 1])
    last = np.concatenate([breaks, [len(path) - 1]])
    return tuple((int(path[a]), int(path[b]) + 1) for a, b in zip(first, last, strict=True))


def _terms(sequences: Sequence[Rendered], ids: list[Rows], rows: list[Rows]) -> Terms:
    from_rows, targets, weights, owners = [], [], [], []
    for i, sequence in enumerate(sequences):
        weight = np.asarray(sequence.weights, dtype=np.float32)
        learned = np.flatnonzero(weight[1:]) + 1  # nothing predicts the first token
        from_rows.append(rows[i][learned - 1])
        targets.append(ids[i][learned])
        weights.append(weight[learned])
        owners.append(np.full(len(learned), i))
    tensors = (torch.from_numpy(np.concatenate(part)) for part in (from_rows, targets, weights, owners))
    return Terms(*tensors)


def budgeted(sequences: Sequence[Rendered], unique_tokens: int) -> list[list[int]]:
    """Split a batch into groups of at most `unique_tokens` unique tokens each, neighbours in the forest together.

    A single sequence longer than the budget is a group of its own. Returns indices into `sequences`.
    """
    ids = [np.asarray(sequence.ids, dtype=np.int64) for sequence in sequences]
    order = sort_order(ids)
    if not order:
        return []
    shared = [0, *(common_prefix(ids[a], ids[b]) for a, b in pairwise(order))]
    return balanced(order, [len(ids[i]) for i in order], shared, unique_tokens)


def balanced(order: Sequence[int], tokens: Sequence[int], shared: Sequence[int], most: int) -> list[list[int]]:
    """Cut `order` into as few groups of neighbours as `most` tokens each allow, and make the largest small.

    `tokens[k]` are the tokens of `order[k]`, of which it shares `shared[k]` with its neighbour on the left. A smaller
    largest group takes less memory and no more time.
    """
    fewest = len(_cut(order, tokens, shared, most))
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_cut(order, tokens, shared, middle)) <= fewest else (middle + 1, high)
    return _cut(order, tokens, shared, high)


def _cut(order: Sequence[int], tokens: Sequence[int], shared: Sequence[int], most: int) -> list[list[int]]:
    groups: list[list[int]] = []
    room = 0
    for i, own, common in zip(order, tokens, shared, strict=True):
        if not groups or own - common > room:
            groups.append([])
            room, common = most, 0
        groups[-1].append(i)
        room -= own - common
    return groups
