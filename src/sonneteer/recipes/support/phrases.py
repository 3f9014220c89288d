"""The phrases of the support example as records, read from the two TOML files beside this one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """What a customer says in a later turn, and the facts of the answer."""

    questions: Phrases
    facts: Phrases


@dataclass(frozen=True)
class Topic:
    """What customers ask about one thing, and the parts of the answers."""

    name: str
    about_order: bool
    products: str
    questions: Phrases
    openings: Phrases
    facts: Phrases
    steps: Phrases
    follow_ups: tuple[Words, ...]
    groups: Phrases = ("new", "returning", "club member", "business")
    asks: Phrases = ()
    """The next step while the order number is missing."""


@dataclass(frozen=True)
class Customer:
    """How customers begin, by customer group."""

    greetings: Phrases
    introductions: dict[str, Phrases]


@dataclass(frozen=True)
class OrderNumber:
    """How the order number is given, and how Pip says that it is there."""

    at_once: Phrases
    when_asked: Phrases
    thanks: Phrases
    noted: Phrases


@dataclass(frozen=True)
class Frame:
    """What stands around the facts of a later answer, in every topic."""

    openings: Phrases
    steps: Phrases
    order_steps: Phrases
    """The next step where the topic is about an order."""


@dataclass(frozen=True)
class Dirt:
    """Texts of the rows that are broken on purpose."""

    email: str
    ramble: Phrases


@dataclass(frozen=True)
class Voice:
    """What all conversations share."""

    system: Phrases
    sign_off: str
    products: dict[str, Phrases]
    slots: dict[str, Phrases]
    customer: Customer
    number: OrderNumber
    follow_up: Frame
    goodbye: Frame
    goodbye_words: Words
    dirt: Dirt

    @property
    def house_rules(self) -> str:
        """The system prompt of every conversation."""
        return " ".join(self.system)


def read_voice(path: Path = FOLDER / "voice.toml") -> Voice:
    """The house rules and the phrases that all topics share."""
    table = _read(path)
    parts: dict[str, Any] = {"customer": Customer, "number": OrderNumber, "follow_up": Frame, "goodbye": Frame}
    parts |= {"goodbye_words": Words, "dirt": Dirt}
    return Voice(**{name: parts[name](**value) if name in parts else value for name, value in table.items()})


def read_topics(path: Path = FOLDER / "topics.toml") -> tuple[Topic, ...]:
    """Every topic, in the order of the file."""
    return tuple(_topic(name, table) for name, table in _read(path).items())


def _topic(name: str, table: dict[str, Any]) -> Topic:
    follow_ups = tuple(Words(**words) for words in table["follow_ups"])
    return Topic(**{**table, "name": name, "follow_ups": follow_ups})


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {name: _frozen(value) for name, value in tomllib.load(file).items()}


def _frozen(value: Any) -> Any:
    """The value with tuples for lists, so that phrases can be keys."""
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
