"""Texts exchanged for others of the same form, one to one, by a key: whoever has the key finds the way back.

Format-preserving encryption: a Feistel network (Luby & Rackoff 1988; NIST SP 800-38G has the same structure) over the
texts of one form, walked on until the result is allowed (cycle walking, Black & Rogaway 2002).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROUNDS = 10
SIGNS = "0123456789"
LETTERS = (
    "aeiou",
    "bcdfghjklmnpqrstvwxyz",
    "áàâäãåéèêëíîïóôöõøúùûüýæ",
    "çñšžčćłńśźżřťďňğ",
)
"""Letters that are exchanged for one another: so words can be spoken, and keep their accents."""
ALPHABETS = (SIGNS, *LETTERS, *map(str.upper, LETTERS))
HEXADECIMAL = ("0123456789abcdef", "0123456789ABCDEF")


class _Place(NamedTuple):
    at: int
    alphabet: str


class Permutation:
    """All exchanges of one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def number(self, number: int, size: int, purpose: str, is_back: bool = False) -> int:
        """The number below `size` that stands for this one, or the one that this one stands for."""
        assert 0 <= number < size
        half = max(1, ((size - 1).bit_length() + 1) // 2)
        while True:
            number = self._feistel(number, half, purpose, is_back)
            if number < size:
                return number

    def text(
        self,
        text: str,
        purpose: str,
        is_back: bool = False,
        allows: Callable[[str], bool] = lambda text: True,
        kept: int = 0,
        alphabets: Sequence[str] = ALPHABETS,
    ) -> str:
        """A text of the same form that is allowed. The original must be, too; its first `kept` characters stay."""
        alphabet_of = {character: alphabet for alphabet in alphabets for character in alphabet}
        places = [_Place(i, alphabet_of[c]) for i, c in enumerate(text) if i >= kept and c in alphabet_of]
        number, size = 0, 1
        for place in places:
            number = number * len(place.alphabet) + place.alphabet.index(text[place.at])
            size *= len(place.alphabet)
        while True:
            number = self.number(number, size, purpose, is_back)
            changed = _written(text, places, number)
            if allows(changed):
                return changed

    def rank(self, text: str, purpose: str) -> bytes:
        """Where a text stands in an order that only the key knows."""
        return self._digest(f"{purpose}\0{text}".encode(), 16)

    def _feistel(self, number: int, half: int, purpose: str, is_back: bool) -> int:
        left, right = number >> half, number & ((1 << half) - 1)
        for turn in range(ROUNDS):
            if is_back:
                left, right = right ^ self._mixed(left, ROUNDS - 1 - turn, half, purpose), left
            else:
                left, right = right, left ^ self._mixed(right, turn, half, purpose)
        return left << half | right

    def _mixed(self, value: int, turn: int, half: int, purpose: str) -> int:
        length = (half + 7) // 8
        told = f"{purpose}\0{half}\0{turn}\0".encode() + value.to_bytes(length, "big")
        return int.from_bytes(self._digest(told, length), "big") & ((1 << half) - 1)

    def _digest(self, told: bytes, length: int) -> bytes:
        return hashlib.shake_256(self._key + told).digest(length)


def _written(text: str, places: Sequence[_Place], number: int) -> str:
    characters = list(text)
    for place in reversed(places):
        number, digit = divmod(number, len(place.alphabet))
        characters[place.at] = place.alphabet[digit]
    return "".join(characters)
