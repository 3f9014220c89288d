"""Which positions the rows of one step see, and where its running answers write: worked out once for all layers.

Shape letters: n rows of a group, K key-value heads, G heads to each of those, T positions.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sonneteer.models.engine.stack import Masks


class Sight:
    """What the network's layers let rows see."""

    def __init__(self, window: int | None, dtype: torch.dtype, device: torch.device) -> None:
        self._window = window
        self._hidden, self._seen = torch.tensor((-torch.inf, 0.0), dtype=dtype, device=device)

    def of_running(self, positions_n: Tensor, width: int) -> Masks:
        """Rows of several answers, which look at the first `width` positions of their own: (n, T)."""
        return self._masks(positions_n, width, is_whole=len(positions_n) == 1, repeats=1)

    def of_reading(self, positions_n: Tensor, width: int, groups: int) -> Masks:
        """Rows of one text up to its position `width`: (G n, T). None where the text begins with them."""
        is_whole = len(positions_n) in (1, width)
        return self._masks(positions_n, width, is_whole, groups)

    def _masks(self, positions_n: Tensor, width: int, is_whole: bool, repeats: int) -> Masks:
        is_near = self._window is None or width <= self._window
        if is_whole and is_near:
            return Masks(None, None)
        places_T = torch.arange(width, device=positions_n.device)
        hidden = places_T > positions_n[:, None]
        whole = None if is_whole else self._mask(hidden, repeats)
        if self._window is None or is_near:
            return Masks(whole, whole)
        return Masks(whole, self._mask(hidden | (places_T <= positions_n[:, None] - self._window), repeats))

    def _mask(self, hidden: Tensor, repeats: int) -> Tensor:
        mask = torch.where(hidden, self._hidden, self._seen)
        return mask if repeats == 1 else mask.repeat(repeats, 1)


def places(positions_n: Tensor, seats_LSKTE: Tensor) -> Tensor:
    """Where running answers write, counted in single heads of single positions of a layer's room: (n 2 K)."""
    _, parts, seats, heads, room, _ = seats_LSKTE.shape
    starts = _starts(len(positions_n), parts, seats, heads, room, positions_n.device)
    return (starts + positions_n[:, None, None]).flatten()


@lru_cache(maxsize=64)
def _starts(rows: int, parts: int, seats: int, heads: int, room: int, device: torch.device) -> Tensor:
    """Where the first rows' heads begin: (n, 2, K). The room seldom changes from step to step."""
    heads_SK = torch.arange(parts * seats * heads, device=device).view(parts, seats, heads)
    return heads_SK[:, :rows].transpose(0, 1) * room
