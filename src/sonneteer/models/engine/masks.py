"""Which positions the rows of one step see, and where its running answers write: worked out once for all layers.

Shape letters: N rows of a step, n running answers, K key-value heads, T positions.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Masks:
    """The masks of a step, each made when it is first asked for."""

    def __init__(self, positions_N: Tensor, running: int, seats_LSKTE: Tensor | None, dtype: torch.dtype) -> None:
        self._positions_N = positions_N
        self._dtype = dtype
        self._known: dict[tuple[int, int | None], Tensor | None] = {}
        self.width = 0
        """Positions that the running answers look at."""
        if running and seats_LSKTE is not None:
            self.width = int(positions_N[:running].max()) + 1
            self.places = _places(positions_N[:running], seats_LSKTE)
            """Where they write, counted in single heads of single positions of a layer's room (n 2 K)."""

    def of(self, rows: slice, width: int, window: int | None, repeats: int = 1) -> Tensor | None:
        """0 where a row may look, minus infinity elsewhere: (repeats rows, T). None where it may look everywhere."""
        key = (rows.start, window)
        if key not in self._known:
            self._known[key] = self._made(self._positions_N[rows], width, window, repeats)
        return self._known[key]

    def _made(self, positions: Tensor, width: int, window: int | None, repeats: int) -> Tensor | None:
        if len(positions) == 1 and (window is None or width <= window):  # the last position looks at all before it
            return None
        places = torch.arange(width, device=positions.device)
        hidden = places > positions[:, None]
        if window is not None:
            hidden |= places <= positions[:, None] - window
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
        return mask.repeat(repeats, 1)


def _places(positions_n: Tensor, seats_LSKTE: Tensor) -> Tensor:
    _, parts, seats, heads, room, _ = seats_LSKTE.shape
    starts = torch.arange(parts * seats * heads, device=positions_n.device).view(parts, seats, heads)
    return (starts[:, : len(positions_n)].transpose(0, 1) * room + positions_n[:, None, None]).flatten()
