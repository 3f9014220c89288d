"""Draw, shuffle and deal phrases from one source of chance, the same in every Python."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import TypeVar

Item = TypeVar("Item")
Slots = dict[str, str]
"""What the names in braces stand for."""

# Of random.Random only random() itself is promised to give the same numbers in every version of Python.


def shuffled(items: Iterable[Item], rng: random.Random) -> list[Item]:
    """The items in a new order."""
    return sorted(items, key=lambda _: rng.random())


def drawn(weights: Mapping[str, int], rng: random.Random) -> str:
    """One of the names, each as likely as its weight among all weights."""
    tickets = [name for name, weight in weights.items() for _ in range(weight)]
    return tickets[int(rng.random() * len(tickets))]


class Dealer:
    """Deals phrases like cards: every phrase of a list comes once before one comes again."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._decks: dict[tuple[str, ...], list[str]] = {}

    def deal(self, phrases: tuple[str, ...], of: str | None = None) -> str:
        """The next phrase. With `of` it is one whose slots are all in that text as well."""
        deck = self._decks.setdefault(phrases, [])
        while not (fitting := [phrase for phrase in deck if of is None or slots_of(phrase) <= slots_of(of)]):
            deck += shuffled(phrases, self._rng)
        deck.remove(fitting[0])
        return fitting[0]


def slots_of(phrase: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(phrase) if name)
