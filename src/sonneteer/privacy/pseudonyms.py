"""Pseudonyms: the same value always gets the same one, of the same form, and only the key leads back.

Nothing is remembered: a pseudonym follows from value and key, so it is consistent over the corpus, whoever reads which
row first, and the key alone undoes it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from ipaddress import IPv4Address
from typing import Literal

from sonneteer.privacy.addresses import SMALL
from sonneteer.privacy.checksums import is_card, is_iban
from sonneteer.privacy.countries import PACKS
from sonneteer.privacy.dates import exchanged_date
from sonneteer.privacy.people import Circle, circles
from sonneteer.privacy.permute import HEXADECIMAL, Permutation
from sonneteer.privacy.phones import prefix_length
from sonneteer.privacy.remembered import Remembered
from sonneteer.privacy.rules import KEY_SIGNS, is_public_address
from sonneteer.privacy.words import words

Role = Literal["first", "last"]
Roles = Mapping[str, Role]
"""Of a document's names the words that are said to be a first or a last name, in lower case."""

WORD = re.compile(r"[^\W\d_]+")
RESERVED = ".example"
"""No mail reaches a domain that ends so (RFC 2606)."""
STAYING = frozenset(word.lower() for name in ("particles", "joining_particles") for word in words(name))
STREETS = frozenset(
    part.lower()
    for name in ("english_streets", "street_endings", "french_streets", "romance_and_polish_streets")
    for word in words(name)
    for part in WORD.findall(word)
)
UNITS = frozenset(words("address_units"))
PLAIN_RULES = [rule for pack in PACKS.values() for rule in pack if "value" not in rule.pattern.groupindex]


class Pseudonyms:
    """The pseudonyms of one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._permutation = Permutation(key)
        self._known: Remembered[tuple[str, str, bool], str] = Remembered(self._exchanged)

    def __reduce__(self) -> tuple[type[Pseudonyms], tuple[bytes]]:
        """Another process needs the key alone."""
        return Pseudonyms, (self._key,)

    def of(self, kind: str, value: str, roles: Roles | None = None) -> str:
        """What stands for a value. `roles` says which words are whose first or last name."""
        return self._with_roles(kind, value, False, roles or {})

    def original(self, kind: str, pseudonym: str, roles: Roles | None = None) -> str:
        """The value that a pseudonym stands for. What no key ever made comes out as nonsense."""
        return self._with_roles(kind, pseudonym, True, roles or {})

    def _with_roles(self, kind: str, value: str, is_back: bool, roles: Roles) -> str:
        if kind not in ("names", "emails"):
            return self._known[kind, value, is_back]
        known = {**roles_in([value]), **roles} if kind == "names" else roles
        change = partial(self._person, is_back=is_back, roles=known)
        return WORD.sub(lambda match: change(match.group()), value) if kind == "names" else self._mail(value, change)

    def _exchanged(self, asked: tuple[str, str, bool]) -> str:
        kind, value, is_back = asked
        match kind:
            case "addresses":
                return self._address(value, is_back)
            case "birth_dates":
                return exchanged_date(self._permutation, value, is_back)
            case "network_addresses":
                return self._network(value, is_back)
            case "secrets":  # the frame of a key file is no secret
                kept = next((len(sign) for sign in KEY_SIGNS if value.lower().startswith(sign)), 0)
                change = partial(self._text, kind=kind, is_back=is_back, kept=kept)
                return re.sub(r"(?m)^(?!-----).+$", lambda match: change(match.group()), value)
            case "phones":
                prefix, alike = prefix_length(value), _likewise(prefix_length, value)
                return self._permutation.text(value, kind, is_back, alike, prefix, alphabets=(string.digits,))
            case "cards":
                return self._text(value, kind, is_back, _likewise(is_card, value), kept=1)
            case "ibans":
                return self._text(value, kind, is_back, _likewise(is_iban, value), kept=2)
        return self._text(value, kind, is_back, _likewise(_valid_as, value))

    def _text(
        self, value: str, kind: str, is_back: bool, allows: Callable[[str], bool] = lambda text: True, kept: int = 0
    ) -> str:
        return self._permutation.text(value, kind, is_back, allows, kept)

    def _person(self, word: str, is_back: bool, roles: Roles) -> str:
        """A part of a name: a name of the same country and gender where it is known, else a word like it."""
        folded = word.casefold()
        if _stays(word):
            return word
        first, last = self._names["first"].get(folded), self._names["last"].get(folded)
        circle = (last if roles.get(folded) == "last" else first) or first or last
        if circle is None:
            return self._word(word, is_back)
        return _cased(circle.before(folded) if is_back else circle.after(folded), word)

    def _word(self, word: str, is_back: bool, allows: Callable[[str], bool] = lambda text: True) -> str:
        """Words are exchanged for words that are no known names, so that no two become the same."""

        def judged(text: str) -> tuple[bool, bool]:
            return any(text.casefold() in known for known in self._names.values()), _stays(text)

        was = judged(word)
        return self._permutation.text(word, "word", is_back, lambda text: judged(text) == was and allows(text))

    def _named(self, word: str, is_back: bool, allows: Callable[[str], bool]) -> str | None:
        """For a known name the next on its circle that is one word, on no other circle, and allowed."""
        folded = word.casefold()
        circle = None if _stays(word) else self._circle(folded)
        while circle:
            name = circle.before(folded) if is_back else circle.after(folded)
            folded, text = name.casefold(), _cased(name, word)
            if WORD.fullmatch(text) and self._circle(folded) is circle and not _stays(text) and allows(text):
                return text
        return None

    def _circle(self, folded: str) -> Circle | None:
        return self._names["first"].get(folded) or self._names["last"].get(folded)

    def _mail(self, value: str, change: Callable[[str], str]) -> str:
        local, at, domain = value.partition("@")
        if not at:  # spelled out, as in jane [at] x [dot] org
            return re.sub(r"(?i)(?<!\w)(?!(?:at|dot)\b)[^\W\d_]+(?!\s*$)", lambda match: change(match.group()), value)
        is_back = domain.endswith(RESERVED)
        names, _, ending = domain.removesuffix(RESERVED).rpartition(".")
        places = [WORD.sub(lambda match: change(match.group()), part) for part in (local, names)]
        local, names = (re.sub(r"\d+", lambda match: self._digits(match.group(), is_back), part) for part in places)
        return f"{local}@{names}.{ending}{'' if is_back else RESERVED}"

    def _digits(self, digits: str, is_back: bool) -> str:
        starts_with_zero = digits[0] == "0"
        return self._permutation.text(digits, "digits", is_back, lambda text: (text[0] == "0") == starts_with_zero)

    def _address(self, value: str, is_back: bool) -> str:
        def change(match: re.Match[str]) -> str:
            piece = match.group()
            if piece[0].isdigit():
                return self._digits(piece, is_back)
            stem, ending = _parted(piece)

            def allows(text: str) -> bool:
                return _parted(text + ending) == (text, ending)

            return (self._named(stem, is_back, allows) or self._word(stem, is_back, allows)) + ending

        return re.sub(r"\d+|[^\W\d_]+", change, value)

    def _network(self, value: str, is_back: bool) -> str:
        allows = _likewise(is_public_address, value)
        with suppress(ValueError):
            number = int(IPv4Address(value))
            while True:
                number = self._permutation.number(number, 2**32, "network", is_back)
                if allows(text := str(IPv4Address(number))):
                    return text
        has_capitals = _likewise(lambda text: text != text.lower(), value)
        alphabet = HEXADECIMAL[value != value.lower()]
        return self._permutation.text(
            value, "network", is_back, lambda text: has_capitals(text) and allows(text), alphabets=(alphabet,)
        )

    @cached_property
    def _names(self) -> Mapping[Role, Mapping[str, Circle]]:
        return circles(self._permutation)


SMALL_WORD = re.compile(SMALL)
ENDINGS = "|".join(ending.rstrip(".") for ending in words("street_endings"))
JOINED_STREET = re.compile(rf"(\w\w+?)({ENDINGS}|)")


def _stays(word: str) -> bool:
    """Whether it is a particle of names, such as 'van'."""
    return word.islower() and word in STAYING


def _parted(piece: str) -> tuple[str, str]:
    """Of a word in an address what is exchanged, and what stays: kinds of streets, short words, abbreviated states."""
    if len(piece) <= 2 or piece.lower() in STREETS | UNITS or SMALL_WORD.fullmatch(piece):
        return "", piece
    match = JOINED_STREET.fullmatch(piece)
    assert match
    return match[1], match[2]


def roles_in(names: Iterable[str]) -> dict[str, Role]:
    """Which words of a document's names are first and which are last names, from those that are given in full."""
    roles: dict[str, Role] = {}
    for name in names:
        parts = [word.casefold() for word in WORD.findall(name) if word.lower() not in STAYING]
        if len(parts) > 1:
            roles |= dict.fromkeys(parts[:-1], "first") | {parts[-1]: "last"}
    return roles


def _cased(name: str, like: str) -> str:
    if like.islower():
        return name.lower()
    return name.upper() if like.isupper() and len(like) > 1 else name


def _valid_as(value: str) -> frozenset[int]:
    """Whose number it is by form and check digits: which of all countries' rules it meets."""
    return frozenset(
        index for index, rule in enumerate(PLAIN_RULES) if rule.pattern.fullmatch(value) and rule.holds(value)
    )


def _likewise(judge: Callable[[str], object], value: str) -> Callable[[str], bool]:
    """Whether another text is judged as this one is."""
    judged = judge(value)
    return lambda text: judge(text) == judged
