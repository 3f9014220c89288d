"""Where running answers keep their keys and values: one seat each, all seats in one piece of memory.

Shape letters: L layers, S seats, K key-value heads, T positions, E width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP_TOKENS = 64  # the room grows by such steps, and seats double
SPARE_SHARE = 0.1  # so much longer than needed, or a long answer would have it moved at every step
KEPT_BYTES = 64 * 1024**2  # an empty room that is larger is given back


class Seats:
    """The room (L, 2, S, K, T, E). It grows with what it must hold; answers sit without gaps from seat 0 on."""

    def __init__(self) -> None:
        self.kv_LSKTE: Tensor | None = None

    def seat(self, number: int, kv_LKTE: Tensor, tokens: int) -> None:
        """Take a sequence in, of which so many tokens are known."""
        room = self.room(number + 1, tokens + 1, kv_LKTE)
        room[:, :, number, :, :tokens] = kv_LKTE[:, :, :, :tokens]

    def move(self, old: int, new: int, tokens: int) -> None:
        """An answer goes to another seat."""
        if old != new and self.kv_LSKTE is not None:
            self.kv_LSKTE[:, :, new, :, :tokens] = self.kv_LSKTE[:, :, old, :, :tokens]

    def of(self, number: int) -> Tensor:
        """What one seat holds: (L, 2, K, T, E)."""
        assert self.kv_LSKTE is not None
        return self.kv_LSKTE[:, :, number]

    def room(self, seats: int, tokens: int, like: Tensor | None = None) -> Tensor:
        """The room, large enough for so many seats of so many tokens."""
        old = self.kv_LSKTE
        if old is not None and old.shape[2] >= seats and old.shape[4] >= tokens:
            return old
        model = like if old is None else old[:, :, 0]
        assert model is not None
        size = -(-int(tokens * (1 + SPARE_SHARE)) // STEP_TOKENS) * STEP_TOKENS
        count = 1 << (seats - 1).bit_length()
        if old is not None:
            size, count = max(size, old.shape[4]), max(count, old.shape[2])
        layers, _, heads, _, width = model.shape
        new = torch.zeros(layers, 2, count, heads, size, width, dtype=model.dtype, device=model.device)
        if old is not None:
            new[:, :, : old.shape[2], :, : old.shape[4]] = old
        self.kv_LSKTE = new
        return new

    def clear(self) -> None:
        """Nobody sits here: give much memory back."""
        if self.kv_LSKTE is not None and self.kv_LSKTE.nbytes > KEPT_BYTES:
            self.kv_LSKTE = None
