"""Which examples a step learns from: an endless stream of shuffled epochs, cut into batches."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training.lessons import Material, groups_of


class Batches(Protocol):
    """Which examples each step learns from, as a function of the step alone."""

    @property
    def steps(self) -> int:
        """Steps in the whole run."""
        ...

    def batch(self, step: int) -> list[int]:
        """Indices of the examples of a step (from 1)."""
        ...


class Replay(NamedTuple):
    """General examples that are mixed into each epoch. Their indices follow those of the training examples."""

    pool: int = 0
    """How many there are to draw from."""
    share: float = 0.0
    """Of an epoch."""


NO_REPLAY = Replay()


@dataclass(eq=False)
class Sampler:
    """Batches as a function of the step alone, so that a resumed run sees what an uninterrupted one would have."""

    examples: int
    batch_size: int
    epochs: float
    seed: int
    replay: Replay = NO_REPLAY
    groups: Sequence[Sequence[int]] = ()
    """Examples that begin alike and stay together; without it each stands alone."""
    _orders: dict[int, list[int]] = field(default_factory=dict, init=False)

    @property
    def steps(self) -> int:
        """Steps in the whole run, the last batch perhaps smaller."""
        return max(1, math.ceil(self._seen / self.batch_size))

    @property
    def replayed(self) -> int:
        """General examples in an epoch: together with the training examples they have their share of it."""
        if not self.replay.pool:
            return 0
        return round(self.examples * self.replay.share / (1 - self.replay.share))

    @property
    def _epoch_length(self) -> int:
        return self.examples + self.replayed

    @property
    def _seen(self) -> int:
        return max(1, round(self.epochs * self._epoch_length))

    def batch(self, step: int) -> list[int]:
        """Indices of the examples of a step (from 1). Every training example comes once in each epoch."""
        first = (step - 1) * self.batch_size
        last = min(first + self.batch_size, max(self._seen, first + 1))
        positions = (divmod(position, self._epoch_length) for position in range(first, last))
        return [self._order(epoch)[place] for epoch, place in positions]

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known == epoch - 1}
            self._orders[epoch] = self._shuffled(epoch)
        return self._orders[epoch]

    def _shuffled(self, epoch: int) -> list[int]:
        """Groups in random order, each shuffled. The circle of them is entered at a random place.

        Hence every example is equally likely at every place, however large its group, and a batch's sum of gradients
        is an unbiased estimate of the whole epoch's.
        """
        rng = random.Random(f"{self.seed}-{epoch}")
        items = [list(group) for group in self.groups] or [[index] for index in range(self.examples)]
        items += [[self.examples + place] for place in self._replayed_in(epoch)]
        rng.shuffle(items)
        if not self.groups:
            return [index for (index,) in items]
        for item in items:
            rng.shuffle(item)
        circle = [index for item in items for index in item]
        entry = rng.randrange(len(circle))
        return circle[entry:] + circle[:entry]

    def _replayed_in(self, epoch: int) -> list[int]:
        """The next general examples of an endless stream that shows all of them before it begins anew."""
        drawn: list[int] = []
        rounds: dict[int, list[int]] = {}
        for position in range(epoch * self.replayed, (epoch + 1) * self.replayed):
            number, place = divmod(position, self.replay.pool)
            if number not in rounds:
                rounds[number] = list(range(self.replay.pool))
                random.Random(f"{self.seed}-replay-{number}").shuffle(rounds[number])
            drawn.append(rounds[number][place])
        return drawn


def sampler_of(material: Material, settings: TrainingSettings, seed: int, epochs: float) -> Sampler:
    """How a run's batches are drawn."""
    most = settings.prefix_group
    return Sampler(
        len(material.train),
        settings.batch_size,
        epochs,
        seed,
        Replay(len(material.replay), settings.replay_share),
        groups_of(material.train, most) if most > 1 else (),
    )
