"""What the name recogniser looks at: a word's letters and form, and what is known of it."""

from __future__ import annotations

import re
from typing import NamedTuple

from sonneteer.privacy.words import words

TOKEN = re.compile(r"[^\W\d_]+(?:(?:-|['’‘](?!s\b))[^\W\d_]+)*|\d+|[^\w\s]|\n")
"""Words, numbers and signs. A possessive 's is no part of its word."""
EDGE = "\0"
"""What stands before and after a text."""
ENDS = frozenset('.!?:;\n•-–*#>|"“(')
TITLES = frozenset(words("titles"))
LABELS = frozenset(cue.upper() for kind in ("national", "medical") for cue in words(f"{kind}_cues"))
"""What numbers are called, such as NINO: in capitals, no name."""
INTRODUCE = frozenset(words("introductions"))
LONGEST_ACRONYM = 5


class Lexicon(NamedTuple):
    """Words that are known, in lower case."""

    either: frozenset[str]
    """Words that English writes both in lower case and with a capital."""
    common: frozenset[str]
    """Words that English nearly always writes in lower case."""
    frequent: frozenset[str]
    """The most frequent of them."""
    firsts: frozenset[str]
    """First names of many countries."""
    lasts: frozenset[str]
    """Last names of many countries."""
    things: frozenset[str]
    """Words of the names of places and things."""

    def kind(self, lowered: str) -> str:
        """The lists that a word is in, each by its letter."""
        return "".join(letter for letter, listed in zip("ecoflt", self, strict=True) if lowered in listed)


class Seen(NamedTuple):
    """What is known of a token without its neighbours."""

    lowered: str
    clues: list[str]
    """Its form, its kind, and the word; of a rare one, its letters. The first letter says of which sort a clue is."""
    may_be_name: bool
    """Whether it might be a name wherever it stands: capitalised, or a known name that is no other word."""
    may_be_introduced: bool
    """Whether it might be one after an introduction such as `my name is`."""


def seen_of(token: str, lexicon: Lexicon) -> Seen:
    """What is known of a token by itself. The letters of a common word say nothing."""
    form = form_of(token)
    lowered = token.lower() if form != "9" else "0" * min(len(token), 5)
    kind = lexicon.kind(lowered)
    clues = ["w" + lowered, "b" + form + kind, "f" + form]
    is_word = token[0].isalpha()
    is_rare = is_word and "c" not in kind
    if is_rare:
        clues += ["4" + lowered[-4:], "3" + lowered[-3:], "2" + lowered[-2:], "p" + lowered[:3], "q" + lowered[:2]]
    is_capital = form in "IAUTM" and token not in TITLES
    is_only_name = not set("ec") & set(kind) and bool(set("fl") & set(kind)) and len(token) > 2
    return Seen(lowered, clues, (is_capital or is_only_name) and token not in LABELS, is_rare)


def form_of(token: str) -> str:
    """How a token is written: an edge of the text (^), a sign that ends (E), a comma, another sign, digits (9), an
    initial (I), a few capitals (A), many (U), a capital first (T), capitals within (M), none (x)."""
    if not token[0].isalnum():
        return "^" if token == EDGE else "E" if token in ENDS else "," if token == "," else "."
    if not token[0].isalpha():
        return "9"
    if not token[0].isupper():
        return "x"
    if len(token) == 1:
        return "I"
    if token.isupper():
        return "A" if len(token) <= LONGEST_ACRONYM else "U"
    return "T" if token[1:].islower() else "M"
