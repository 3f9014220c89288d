"""A small linear recogniser of people's names: it judges each capitalised word by its letters and its neighbours.

It was trained by `tools/train_names.py` on generated English sentences, with an averaged perceptron (Collins 2002).
Its weights are plain JSON: features as text, each with a number.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sonneteer.privacy.words import words

TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]|\n")
ENDS = frozenset('.!?:;\n•-–*#>|"“(')
PARTICLES = frozenset(words("joining_particles"))
INTRODUCE = frozenset(words("introductions"))
LONGEST_ACRONYM = 5


class Token(NamedTuple):
    """A word, a number or a sign, and where it stands."""

    text: str
    lowered: str
    start: int
    end: int


class Lexicon(NamedTuple):
    """Words that are known, in lower case."""

    common: frozenset[str]
    """Words that English nearly always writes in lower case."""
    names: frozenset[str]
    """First and last names of many countries."""


class Recogniser:
    """Weights of features, and the words that are known."""

    def __init__(self, weights: dict[str, float], lexicon: Lexicon, threshold: float = 0.0) -> None:
        self._weights = weights
        self._lexicon = lexicon
        self._threshold = threshold

    def names_in(self, text: str) -> list[tuple[int, int]]:
        """Where names of people stand, first and last names together."""
        tokens = tokens_of(text)
        labels = [False] * len(tokens)
        weight = self._weights.get
        for place in candidates(tokens, self._lexicon.common):
            score = sum(weight(feature, 0.0) for feature in features(tokens, place, labels, self._lexicon))
            labels[place] = score > self._threshold
        return list(spans(tokens, labels))


@cache
def bundled() -> Recogniser:
    """The recogniser that comes with Sonneteer."""
    packed = files("sonneteer.privacy").joinpath("names.json.gz").read_bytes()
    model = json.loads(gzip.decompress(packed))
    lexicon = Lexicon(frozenset(model["common"].split(" ")), frozenset(model["names"].split(" ")))
    return Recogniser(model["weights"], lexicon, model["threshold"])


def tokens_of(text: str) -> list[Token]:
    """The words, numbers and signs of a text. A possessive 's is no part of its word."""
    tokens = []
    for match in TOKEN.finditer(text):
        word, end = match.group(), match.end()
        if word[-2:] in ("'s", "’s") and len(word) > 2:
            word, end = word[:-2], end - 2
        tokens.append(Token(word, word.lower(), match.start(), end))
    return tokens


def candidates(tokens: Sequence[Token], common: frozenset[str]) -> Iterator[int]:
    """Words that might be names: capitalised ones, and rare ones in lower case after an introduction."""
    before = ""
    for place, token in enumerate(tokens):
        first = token.text[0]
        if _is_acronym(tokens, place):
            before = token.lowered
            continue
        if first.isupper() or (before in INTRODUCE and first.isalpha() and token.lowered not in common):
            yield place
        before = token.lowered


def _is_acronym(tokens: Sequence[Token], place: int) -> bool:
    """Few capitals, with no other word in capitals beside them."""
    text = tokens[place].text
    if not (1 < len(text) <= LONGEST_ACRONYM and text.isupper()):
        return False
    return not any(
        token.text.isupper() for token in (*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2])
    )


def features(tokens: Sequence[Token], place: int, labels: Sequence[bool], lexicon: Lexicon) -> Iterator[str]:
    """What is true of the word at `place`; `labels` says which words before it are names."""
    token = tokens[place]
    before = tokens[place - 1] if place else None
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    after_that = tokens[place + 2] if place + 2 < len(tokens) else None
    word, form = token.lowered, shape_of(token.text)
    is_common = ("c" if word in lexicon.common else "r") + ("n" if word in lexicon.names else "")
    is_first = before is None or before.text in ENDS
    one = "^" if before is None else before.lowered
    two = tokens[place - 2].lowered if place > 1 else "^"
    next_form = "$" if after is None else shape_of(after.text)
    known = "N" if place and labels[place - 1] else "O"
    after_particle = place > 1 and labels[place - 2] and one in PARTICLES
    next_common = ""
    if after is not None:
        next_common = ("c" if after.lowered in lexicon.common else "r") + "n" * (after.lowered in lexicon.names)
    yield "b" + form + is_common
    yield "w" + word
    yield "4" + word[-4:]
    yield "3" + word[-3:]
    yield "2" + word[-2:]
    yield "p" + word[:3]
    yield f"f{is_first:d}{is_common}{form}{next_form}{next_common}"
    yield "1" + one
    yield "d" + two + " " + one
    yield "k" + known + is_common + next_form
    yield "l" + known + shape_of(one if before is None else before.text) + is_common
    yield f"q{after_particle:d}{form}"
    yield "n" + ("$" if after is None else after.lowered) + known
    yield "m" + next_form + ("$" if after_that is None else after_that.lowered) + known
    yield "o" + one + is_common + next_form + next_common


def shape_of(word: str) -> str:
    """One letter for how a word is written."""
    if len(word) == 1:
        return "I" if word.isupper() else word if not word.isalnum() else "x"
    if word.isupper():
        return "U"
    if word[0].isupper():
        return "T" if word[1:].islower() else "M"
    return "9" if word[0].isdigit() else "x"


def spans(tokens: Sequence[Token], labels: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Names that follow each other are one, also with a particle, an initial's point or a hyphen between them."""
    place = 0
    while place < len(tokens):
        if not labels[place]:
            place += 1
            continue
        last = place
        while (following := _following(tokens, labels, last)) is not None:
            last = following
        if last > place or len(tokens[place].text) > 1:
            yield tokens[place].start, tokens[last].end
        place = last + 1


def _following(tokens: Sequence[Token], labels: Sequence[bool], place: int) -> int | None:
    """The next word of the same name."""
    for step in (1, 2, 3):
        if place + step >= len(tokens):
            return None
        token = tokens[place + step]
        if labels[place + step]:
            return place + step
        is_point = token.text == "." and step == 1 and len(tokens[place].text) == 1
        if not is_point and token.text not in PARTICLES:
            return None
    return None
