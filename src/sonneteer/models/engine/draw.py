"""Choosing the next tokens of many answers at once, each by its own wishes and its own chance.

Shape letters: B answers, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from sonneteer.chat import Options

FIRST_RANKS = 512  # a nucleus is nearly always found among so many
ALMOST_ALL = 1 - 1e-6  # rounded to float32, the point must not lie beyond the last share


class Wish(NamedTuple):
    """How one answer's next token is drawn."""

    options: Options
    chance: Random


def choose(logits_BV: Tensor, wishes: Sequence[Wish]) -> list[int]:
    """The likeliest token, or one drawn after temperature, top-k and top-p (nucleus, arXiv 1904.09751)."""
    chosen = _likeliest(logits_BV)
    free = [row for row, wish in enumerate(wishes) if wish.options.temperature > 0]
    if free:
        rows = torch.tensor(free, device=logits_BV.device)
        chosen[rows] = _draw(logits_BV[rows], [wishes[row] for row in free])
    told: list[int] = chosen.tolist()
    return told


def _likeliest(logits_BV: Tensor) -> Tensor:
    """NumPy looks through a row of many several times as fast as PyTorch does on a processor."""
    if logits_BV.device.type != "cpu":
        return logits_BV.argmax(-1)
    return torch.from_numpy(logits_BV.numpy().argmax(-1))


def _draw(logits_BV: Tensor, wishes: Sequence[Wish]) -> Tensor:
    heat = _column([wish.options.temperature for wish in wishes], logits_BV)
    points = _column([wish.chance.random() * ALMOST_ALL for wish in wishes], logits_BV)
    shares_BV = (logits_BV / heat).softmax(-1)
    if all(wish.options.top_k is None and wish.options.top_p >= 1 for wish in wishes):
        return _at(shares_BV, points)
    ranked, order = shares_BV.topk(_ranks(shares_BV, wishes), -1)
    dropped = ranked.cumsum(-1) - ranked >= _column([wish.options.top_p for wish in wishes], logits_BV)
    for row, wish in enumerate(wishes):
        if wish.options.top_k is not None:
            dropped[row, wish.options.top_k :] = True
    return order.gather(1, _at(ranked.masked_fill_(dropped, 0.0), points)[:, None])[:, 0]


def _ranks(shares_BV: Tensor, wishes: Sequence[Wish]) -> int:
    """How many of the likeliest tokens hold all that may be drawn."""
    size = shares_BV.shape[1]
    if size <= FIRST_RANKS:
        return size
    held = shares_BV.topk(FIRST_RANKS, -1)[0].sum(-1).tolist()
    is_held = [
        share >= wish.options.top_p + 1e-4 or (wish.options.top_k or size) <= FIRST_RANKS
        for share, wish in zip(held, wishes, strict=True)
    ]
    return FIRST_RANKS if all(is_held) else size


def _at(shares: Tensor, points: Tensor) -> Tensor:
    """The token at this point of the whole, 0 to 1."""
    sums = shares.cumsum(-1)
    found = torch.searchsorted(sums, points * sums[:, -1:], right=True)[:, 0]
    return found.clamp_(max=shares.shape[1] - 1)


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)[:, None]
