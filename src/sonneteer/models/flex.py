"""A forest's attention on graphics cards: FlexAttention (arXiv 2412.05496), its block mask built from the segments.

In depth-first order a row j is an ancestor of row i, or i itself, exactly if j <= i < reach[j], where reach[j] is the
row just past the last descendant of j.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from sonneteer.models.forest import Forest, Segment

SIDE = 128  # rows and columns of a block


class FlexPlan:
    """What every layer of one pass needs to attend along the paths of a forest."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self._reach_N = torch.from_numpy(reach(forest)).to(forest.ids_N.device)
        self._masks: dict[int | None, BlockMask] = {}

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """Query (1, H*G, N, D), key and value (1, H, N, D) -> (1, N, H*G, D)."""
        mask = self.mask(window)
        kernel = _compiled() if query.is_cuda else flex_attention
        out: torch.Tensor = kernel(query, key, value, block_mask=mask, scale=scale, enable_gqa=True)
        return out.transpose(1, 2)

    def mask(self, window: int | None) -> BlockMask:
        """Blocks that nothing sees are left out, blocks that are seen whole are not masked."""
        if window not in self._masks:
            some, whole = seen_blocks(self._forest, window)
            device, count = self._reach_N.device, self._forest.unique_tokens
            some_count, some_which = (table.to(device) for table in _table(some & ~whole))
            whole_count, whole_which = (table.to(device) for table in _table(whole))
            self._masks[window] = BlockMask.from_kv_blocks(
                some_count,
                some_which,
                whole_count,
                whole_which,
                BLOCK_SIZE=SIDE,
                mask_mod=self._sees(window),
                seq_lengths=(count, count),
            )
        return self._masks[window]

    def _sees(self, window: int | None) -> Any:
        reach_N, depth_N = self._reach_N, self._forest.positions_N

        def sees(_batch: Any, _head: Any, row: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            is_on_path = (other <= row) & (row < reach_N[other])
            if window is None:
                return is_on_path
            return is_on_path & (depth_N[row] - depth_N[other] < window)

        return sees


def reach(forest: Forest) -> NDArray[np.int64]:
    """For each row, the row just past its last descendant, (N,)."""
    found = np.full(forest.unique_tokens, forest.unique_tokens, dtype=np.int64)
    open_segments: list[Segment] = []
    for segment in forest.segments:
        while open_segments and open_segments[-1].depth >= segment.depth:
            closed = open_segments.pop()
            found[closed.start : closed.end] = segment.start
        open_segments.append(segment)
    return found


def seen_blocks(forest: Forest, window: int | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which blocks (rows x columns) hold anything that is seen, and which are seen whole."""
    count = -(-forest.unique_tokens // SIDE)
    some, whole = np.zeros((count, count), np.bool_), np.zeros((count, count), np.bool_)
    for segment in forest.segments:
        for block in range(segment.start // SIDE, (segment.end - 1) // SIDE + 1):
            start, end = max(segment.start, block * SIDE), min(segment.end, (block + 1) * SIDE)
            for first, last in (*segment.ancestors, (segment.start, end)):
                some[block, first // SIDE : (last - 1) // SIDE + 1] = True
            if window is None and end - start == SIDE:
                for first, last in _joined(*segment.ancestors, (segment.start, start)):
                    whole[block, -(-first // SIDE) : last // SIDE] = True
    return some, whole


def _joined(*spans: tuple[int, int]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _table(blocks: NDArray[np.bool_]) -> tuple[torch.Tensor, torch.Tensor]:
    """How many blocks each row of blocks has, and which, those first; (1, 1, B) and (1, 1, B, B)."""
    order = np.argsort(~blocks, axis=1, kind="stable")
    counts = torch.from_numpy(blocks.sum(1).astype(np.int32))
    return counts[None, None], torch.from_numpy(order.astype(np.int32))[None, None]


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=True)
