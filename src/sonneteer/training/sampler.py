"""Which examples a step learns from: an endless stream of shuffled epochs, cut into batches."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import NamedTuple


class Sampler(NamedTuple):
    """Batches as a function of the step alone, so that a resumed run sees what an uninterrupted one would have."""

    examples: int
    batch_size: int
    epochs: float
    seed: int

    @property
    def steps(self) -> int:
        """Steps in the whole run, the last batch perhaps smaller."""
        return max(1, math.ceil(self._seen / self.batch_size))

    @property
    def _seen(self) -> int:
        return max(1, round(self.epochs * self.examples))

    def batch(self, step: int) -> list[int]:
        """Indices of the examples of a step (from 1). Every example comes once in each epoch."""
        first = (step - 1) * self.batch_size
        last = min(first + self.batch_size, max(self._seen, first + 1))
        positions = (divmod(position, self.examples) for position in range(first, last))
        return [_shuffled(self.examples, self.seed, epoch)[place] for epoch, place in positions]


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed}-{epoch}").shuffle(order)
    return order
