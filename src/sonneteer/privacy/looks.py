"""What the name recogniser looks at: a word's letters and form, what is known of it, and its neighbours."""

from __future__ import annotations

import re
from typing import NamedTuple

from sonneteer.privacy.words import words

TOKEN = re.compile(r"[^\W\d_]+(?:(?:-|['’‘](?!s\b))[^\W\d_]+)*|\d+|[^\w\s]|\n")
"""Words, numbers and signs. A possessive 's is no part of its word."""
ENDS = frozenset('.!?:;\n•-–*#>|"“(')
TITLES = frozenset(words("titles"))
INTRODUCE = frozenset(words("introductions"))
LONGEST_ACRONYM = 5
FORMS = "^$E,.9IAUTMx"
"""How a token is written: an edge of the text, a sign that ends, a comma, another sign, digits, an initial, a few
capitals, many capitals, a capital first, capitals within, none."""
KINDS = "0123456789abcdef"
"""Rare, also in lower case, common or frequent; a known name or not; a known thing or not."""
COMMONNESS, NAME, THING = 4, 2, 1


class Lexicon(NamedTuple):
    """Words that are known, in lower case."""

    either: frozenset[str]
    """Words that English writes both in lower case and with a capital."""
    common: frozenset[str]
    """Words that English nearly always writes in lower case."""
    frequent: frozenset[str]
    """The most frequent of them."""
    names: frozenset[str]
    """First and last names of many countries."""
    things: frozenset[str]
    """Words of the names of places and things."""

    def kind(self, lowered: str) -> int:
        """A number below KINDS' length for what is known of a word."""
        commonness = (lowered in self.either) + 2 * (lowered in self.common) + (lowered in self.frequent)
        return COMMONNESS * commonness + NAME * (lowered in self.names) + THING * (lowered in self.things)


class Seen(NamedTuple):
    """What is known of a token without its neighbours."""

    lowered: str
    code: str
    """Form and kind."""
    is_rare: bool
    may_be_name: bool
    """Whether it might be a name wherever it stands: capitalised, or a known name that is no other word."""
    may_be_introduced: bool
    """Whether it might be one after an introduction such as `my name is`."""


BEGIN, END = (Seen(edge, edge + KINDS[0], False, False, False) for edge in "^$")


def seen_of(token: str, lexicon: Lexicon) -> Seen:
    """What is known of a token by itself."""
    lowered = token.lower()
    form, kind = form_of(token), lexicon.kind(lowered)
    is_word = token[0].isalpha()
    is_rare = kind < 2 * COMMONNESS
    is_capital = form in "IAUTM" and token not in TITLES
    is_only_name = kind < COMMONNESS and bool(kind & NAME) and len(token) > 2
    return Seen(lowered, form + KINDS[kind], is_rare, is_capital or is_only_name, is_word and is_rare)


def form_of(token: str) -> str:
    """How a token is written, as one of FORMS."""
    if not token[0].isalnum():
        return "E" if token in ENDS else "," if token == "," else "."
    if not token[0].isalpha():
        return "9"
    if not token[0].isupper():
        return "x"
    if len(token) == 1:
        return "I"
    if token.isupper():
        return "A" if len(token) <= LONGEST_ACRONYM else "U"
    return "T" if token[1:].islower() else "M"


def is_candidate(before: Seen, here: Seen) -> bool:
    """Whether a token might be part of a name."""
    return here.may_be_name or (here.may_be_introduced and before.lowered in INTRODUCE)


class Window(NamedTuple):
    """A candidate among its neighbours."""

    two_before: Seen
    before: Seen
    here: Seen
    after: Seen
    two_after: Seen
    follows_name: bool
    is_small_elsewhere: bool
    """Whether the text has the same word in lower case."""


def features_of(window: Window) -> list[str]:
    """Everything that is true of a candidate. The first letter says of which kind a feature is."""
    two_before, before, here, after, two_after, follows, small = window
    return [
        *word_features(here),
        *before_features(before.lowered),
        *after_features(after.lowered, follows),
        *code_features(two_before.code, before.code, here.code, after.code, two_after.code, follows),
        f"o{before.lowered} {here.code}",
        f"a{after.lowered} {here.code}",
        *([f"z{here.code}"] if small else ()),
    ]


def word_features(here: Seen) -> list[str]:
    """What is true of a word wherever it stands. The letters of a common word say nothing."""
    word = here.lowered
    letters = ["4" + word[-4:], "3" + word[-3:], "2" + word[-2:], "p" + word[:3]] if here.is_rare else []
    return [f"b{here.code}", "w" + word, *letters]


def before_features(word: str) -> list[str]:
    """What the word before says by itself."""
    return ["1" + word, "s" + word[-3:]] if len(word) > 3 else ["1" + word]


def after_features(word: str, follows_name: bool) -> list[str]:
    """What the word after says, for a candidate that follows a name or not."""
    whole = f"n{follows_name:d}{word}"
    return [whole, f"t{follows_name:d}{word[-3:]}"] if len(word) > 3 else [whole]


def code_features(two_before: str, before: str, here: str, after: str, two_after: str, follows: bool) -> list[str]:
    """What forms and kinds say together."""
    return [
        f"f{before[0]} {here} {after}",
        f"g{before} {here} {after}",
        f"h{here} {after} {two_after}",
        f"u{two_before} {before} {here}",
        f"k{follows:d} {here} {after}",
        f"l{follows:d} {before} {here}",
    ]
