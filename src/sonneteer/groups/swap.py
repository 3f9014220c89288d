"""The same text with another group in a group's place: words, pronouns and people's names are exchanged.

English only. It changes what the lists of `words.toml` and the names of `privacy/people.json.gz` hold, and no more.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sonneteer.privacy.people import people
from sonneteer.privacy.recogniser import bundled
from sonneteer.privacy.texts import with_texts
from sonneteer.records import Example

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


class Swap(NamedTuple):
    """Two groups that change places."""

    axis: str
    one: str
    other: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.axis}: {self.one} / {self.other}"


class Axis(NamedTuple):
    """Groups that are told apart by the same thing, and what a text calls each."""

    groups: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


LISTED = tomllib.loads(files("sonneteer.groups").joinpath("words.toml").read_text("utf-8"))
AFTER_AN_OBJECT = frozenset(LISTED.pop("after_an_object").split())
"""Words before which `her` is whom something is done to, and not whose something is."""


def _axes() -> dict[str, Axis]:
    return {
        name: Axis(
            tuple(axis["groups"]),
            tuple(
                tuple(word.replace("_", " ") for word in row.split()) for row in axis["words"].split(";") if row.strip()
            ),
        )
        for name, axis in LISTED.items()
    }


AXES: dict[str, Axis] = _axes()


def swaps_of(text: str, axes: tuple[str, ...] = tuple(AXES)) -> list[Swap]:
    """Which exchanges would change a text: those of a group that it mentions with each other group of the axis."""
    found = []
    for name in axes:
        groups = AXES[name].groups
        mentioned = [group for group in groups if _mentions(text, name, group)]
        pairs = {
            tuple(sorted((group, other), key=groups.index)) for group in mentioned for other in groups if other != group
        }
        found += [Swap(name, one, other) for one, other in sorted(pairs)]
    return found


def swapped(text: str, swap: Swap) -> str:
    """The text with both groups in each other's place."""
    table = _table(swap)
    changed = _pattern(swap).sub(lambda match: _cased(table[match.group().lower()], match.group()), text)
    if swap.axis == "gender":
        changed = _pronouns(text, changed)
    return _with_names(_ARTICLE.sub(_article, changed), swap)


def groups_named(text: str) -> set[tuple[str, str]]:
    """By axis and group, who is called by a name: gender and origin, where it tells them."""
    groups = ((axis, _group_of(word, axis)) for word in _names_in(text) for axis in ("gender", "origin"))
    return {(axis, group) for axis, group in groups if group}


def swap_example(example: Example, swap: Swap) -> Example:
    """The example with both groups in each other's place, in all that it says."""
    return with_texts(example, lambda text: swapped(text, swap))


def _mentions(text: str, axis: str, group: str) -> bool:
    place = AXES[axis].groups.index(group)
    words = [row[place] for row in AXES[axis].rows]
    pronouns = {"women": ["her"], "men": ["him"]}.get(group, [])
    if (words or pronouns) and _any_of((*words, *pronouns)).search(text):
        return True
    return any(_group_of(word, axis) == group for word in _names_in(text)) if axis in ("gender", "origin") else False


@cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    listed = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?i)(?<![\w-])(?:{listed})(?![\w-])")


@cache
def _table(swap: Swap) -> dict[str, str]:
    groups = AXES[swap.axis].groups
    one, other = groups.index(swap.one), groups.index(swap.other)
    table: dict[str, str] = {}
    for row in AXES[swap.axis].rows:
        table.setdefault(row[one], row[other])
        table.setdefault(row[other], row[one])
    return table


@cache
def _pattern(swap: Swap) -> re.Pattern[str]:
    words = [word for word in _table(swap) if swap.axis != "gender" or word not in ("his", "hers")]
    return _any_of(tuple(words)) if words else re.compile(r"(?!)")


_ARTICLE = re.compile(
    r"(?i)\b(an?)(?= ((?:"
    + "|".join(re.escape(word) for axis in AXES.values() for row in axis.rows for word in row)
    + r")(?![\w-])))"
)


def _article(match: re.Match[str]) -> str:
    return match.group()[0] + ("n" if match.group(2)[0].lower() in "aeio" else "")


def _pronouns(original: str, changed: str) -> str:
    """`her` stands for him and his, `his` for her and hers: the next word tells which."""

    def exchange(match: re.Match[str]) -> str:
        word, after = match.group(1), match.group(2) or ""
        owns = bool(after) and after.strip().lower() not in AFTER_AN_OBJECT
        other = {"her": "his" if owns else "him", "his": "her" if owns else "hers", "him": "her", "hers": "his"}
        return _cased(other[word.lower()], word)

    return re.sub(r"(?i)(?<![\w-])(hers|her|his|him)(?![\w-])(?=(\s+[^\W\d_][\w'’-]*)?)", exchange, changed)


def _names_in(text: str) -> Iterator[str]:
    for start, end in bundled().names_in([text])[0]:
        yield from WORD.findall(text[start:end])


def _with_names(text: str, swap: Swap) -> str:
    if swap.axis not in ("gender", "origin"):
        return text
    for start, end in reversed(bundled().names_in([text])[0]):
        name = WORD.sub(lambda match: _other_name(match.group(), swap), text[start:end])
        text = text[:start] + name + text[end:]
    return text


def _other_name(word: str, swap: Swap) -> str:
    """A name of the other group, always the same for the same; where the group of a name is unknown, itself."""
    own = _group_of(word, swap.axis)
    if own not in (swap.one, swap.other):
        return word
    target = swap.other if own == swap.one else swap.one
    kind, country = _places()[word.casefold()]
    gender = "female" if target == "women" else "male"
    wanted = f"{gender} {country}" if swap.axis == "gender" else f"{kind} {target}"
    names = people()["last" if kind == "last" else "first"].get(wanted)
    if not names:
        return word
    lot = int.from_bytes(hashlib.sha256(word.casefold().encode()).digest()[:4], "big")
    return _cased(names[lot % len(names)], word)


def _group_of(word: str, axis: str) -> str | None:
    """Of which group a name is."""
    kind, country = _places().get(word.casefold(), ("", ""))
    if axis == "gender":
        return {"female": "women", "male": "men"}.get(kind)
    return country if country in AXES["origin"].groups and kind != "either" else None


@cache
def _places() -> dict[str, tuple[str, str]]:
    """Of each name what it is (female, male, either, last) and of which country; a first name wins."""
    found: dict[str, tuple[str, str]] = {}
    for listed in people().values():
        for group, names in listed.items():
            kind, country = group.split()
            for name in names:
                found.setdefault(name.casefold(), (kind, country))
    return found


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if like[:1].isupper() else word
