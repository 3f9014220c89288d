"""A small linear recogniser of people's names: it judges each capitalised word by its letters and its neighbours.

It was trained by `tools/train_names.py` on generated English sentences, with an averaged perceptron (Collins 2002).
Its weights are plain JSON: features as text, each with a number.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sonneteer.privacy.remembered import Remembered
from sonneteer.privacy.words import words

TOKEN = re.compile(r"[^\W\d_]+(?:(?:-|['’](?!s\b))[^\W\d_]+)*|\d+|[^\w\s]|\n")
"""Words, numbers and signs. A possessive 's is no part of its word."""
ENDS = frozenset('.!?:;\n•-–*#>|"“(')
PARTICLES = frozenset(words("joining_particles"))
TITLES = frozenset(words("titles"))
INTRODUCE = frozenset(words("introductions"))
LONGEST_ACRONYM = 5
BESIDE = 4.0
"""How much less evidence a word needs if it stands beside a name."""


class Lexicon(NamedTuple):
    """Words that are known, in lower case."""

    common: frozenset[str]
    """Words that English nearly always writes in lower case."""
    names: frozenset[str]
    """First and last names of many countries."""


class Look(NamedTuple):
    """What is known of a word without its neighbours."""

    lowered: str
    form: str
    kind: str
    """Whether it is common, and whether it is a known name."""
    score: float = 0.0
    """What its own features weigh together."""


class Recogniser:
    """Weights of features, and the words that are known."""

    def __init__(self, weights: dict[str, float], lexicon: Lexicon, threshold: float = 0.0) -> None:
        self._weights = weights
        self._lexicon = lexicon
        self._threshold = threshold
        self._looks = Remembered(self._judged)

    def names_in(self, text: str) -> list[tuple[int, int]]:
        """Where names of people stand, first and last names together."""
        tokens = TOKEN.findall(text)
        labels = self._labels(tokens)
        if True not in labels:
            return []
        places = [match.span() for match in TOKEN.finditer(text)]
        return [(places[first][0], places[last][1]) for first, last in spans(tokens, labels)]

    def _labels(self, tokens: Sequence[str]) -> list[bool]:
        """Whether each word is part of a name."""
        labels = [False] * len(tokens)
        weight, look, threshold = self._weights.get, self._looks.__getitem__, self._threshold
        nearly = []
        for place in candidates(tokens, self._lexicon.common):
            score = look(tokens[place]).score
            for feature in context_features(tokens, place, labels, look):
                score += weight(feature, 0.0)
            labels[place] = score > threshold
            if not labels[place] and score > threshold - BESIDE:
                nearly.append(place)
        for place in reversed(nearly):
            if (place + 1 < len(tokens) and labels[place + 1]) or (place and labels[place - 1]):
                labels[place] = True
        return labels

    def _judged(self, word: str) -> Look:
        seen = look_of(word, self._lexicon)
        return seen._replace(score=sum(self._weights.get(feature, 0.0) for feature in word_features(seen)))


@cache
def bundled() -> Recogniser:
    """The recogniser that comes with Sonneteer."""
    packed = files("sonneteer.privacy").joinpath("names.json.gz").read_bytes()
    model = json.loads(gzip.decompress(packed))
    lexicon = Lexicon(frozenset(model["common"].split(" ")), frozenset(model["names"].split(" ")))
    return Recogniser(model["weights"], lexicon, model["threshold"])


def candidates(tokens: Sequence[str], common: frozenset[str]) -> Iterator[int]:
    """Words that might be names: capitalised ones, and rare ones in lower case after an introduction."""
    before = ""
    for place, token in enumerate(tokens):
        first = token[0]
        if "a" <= first <= "z":
            is_candidate = before in INTRODUCE and token.lower() not in common
        elif first.isupper():
            is_candidate = token not in TITLES and not _is_acronym(tokens, place)
        else:
            is_candidate = first.isalpha() and before in INTRODUCE
        if is_candidate:
            yield place
        before = token if "a" <= first <= "z" else token.lower()


def _is_acronym(tokens: Sequence[str], place: int) -> bool:
    """Few capitals, with no other word in capitals beside them."""
    text = tokens[place]
    if not (1 < len(text) <= LONGEST_ACRONYM and text.isupper()):
        return False
    return not any(token.isupper() for token in (*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2]))


def look_of(word: str, lexicon: Lexicon) -> Look:
    """What is known of a word by itself."""
    lowered = word.lower()
    kind = ("c" if lowered in lexicon.common else "r") + ("n" if lowered in lexicon.names else "")
    return Look(lowered, shape_of(word), kind)


def word_features(seen: Look) -> tuple[str, ...]:
    """What is true of a word wherever it stands."""
    word = seen.lowered
    return ("b" + seen.form + seen.kind, "w" + word, "4" + word[-4:], "3" + word[-3:], "2" + word[-2:], "p" + word[:3])


NOTHING_BEFORE, NOTHING_AFTER = Look("^", "^", ""), Look("$", "$", "")


def context_features(
    tokens: Sequence[str], place: int, labels: Sequence[bool], look: Callable[[str], Look]
) -> tuple[str, ...]:
    """What is true of the word at `place` among its neighbours; `labels` says which words before it are names."""
    _, form, kind, _ = look(tokens[place])
    before = look(tokens[place - 1]) if place else NOTHING_BEFORE
    after = look(tokens[place + 1]) if place + 1 < len(tokens) else NOTHING_AFTER
    after_that = tokens[place + 2].lower() if place + 2 < len(tokens) else "$"
    two = tokens[place - 2].lower() if place > 1 else "^"
    is_first = "1" if before.lowered in ENDS or not place else "0"
    known = "N" if place and labels[place - 1] else "O"
    after_particle = "1" if place > 1 and labels[place - 2] and before.lowered in PARTICLES else "0"
    return (
        f"f{is_first}{kind}{form}{after.form}{after.kind}",
        "1" + before.lowered,
        f"d{two} {before.lowered}",
        f"k{known}{kind}{after.form}",
        f"l{known}{before.form}{kind}",
        f"q{after_particle}{form}",
        f"n{after.lowered}{known}",
        f"m{after.form}{after_that}{known}",
        f"o{before.lowered}{kind}{after.form}{after.kind}",
    )


def shape_of(word: str) -> str:
    """One letter for how a word is written."""
    if len(word) == 1:
        return "I" if word.isupper() else word if not word.isalnum() else "x"
    if word.isupper():
        return "U"
    if word[0].isupper():
        return "T" if word[1:].islower() else "M"
    return "9" if word[0].isdigit() else "x"


def spans(tokens: Sequence[str], labels: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last word of each name. Names that follow each other are one, also with a particle, an initial's point
    or a hyphen between them."""
    last = -1
    for place, is_name in enumerate(labels):
        if not is_name or place <= last:
            continue
        last = place
        while (following := _following(tokens, labels, last)) is not None:
            last = following
        if last > place or len(tokens[place]) > 1:
            yield place, last


def _following(tokens: Sequence[str], labels: Sequence[bool], place: int) -> int | None:
    """The next word of the same name."""
    for step in (1, 2, 3):
        if place + step >= len(tokens):
            return None
        token = tokens[place + step]
        if labels[place + step]:
            return place + step
        is_point = token == "." and step == 1 and len(tokens[place]) == 1
        if not is_point and token not in PARTICLES:
            return None
    return None
