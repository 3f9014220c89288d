"""A small linear recogniser of people's names: it judges each word by its letters, its neighbours and what is known.

`tools/train_names.py` trained it, with logistic regression. Its weights are plain JSON: features as text (`looks.py`
says what they mean), each with a number. Here they are laid out so that few of them need to be looked up.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from sonneteer.privacy.looks import (
    BEGIN,
    END,
    TOKEN,
    Lexicon,
    Seen,
    after_features,
    before_features,
    code_features,
    is_candidate,
    seen_of,
    word_features,
)
from sonneteer.privacy.remembered import Remembered
from sonneteer.privacy.words import words

PARTICLES = frozenset(words("joining_particles"))
BESIDE = 2.0
"""How much less evidence a word needs if it stands beside a name."""
OF_AN_ILLNESS = re.compile(rf"(?i:['’]?s?['’]? (?:{'|'.join(words('illnesses'))})\b)")
"""What follows a name that is an illness's, such as Parkinson."""
NOTHING: Mapping[str, float] = {}


class Look(NamedTuple):
    """A word and what its weights say of it, of the candidate before it, and of the one after it."""

    seen: Seen
    own: float
    to_next: float
    next_codes: Mapping[str, float]
    """What it says of the one after it, by the code of that one."""
    to_last: tuple[float, float]
    """What it says of the one before it: where that follows no name, and where it follows one."""
    last_codes: Mapping[str, float]


class Recogniser:
    """Weights of features, and the words that are known."""

    def __init__(self, weights: Mapping[str, float], lexicon: Lexicon, threshold: float = 0.0) -> None:
        self._weights = weights
        self._lexicon = lexicon
        self._threshold = threshold
        self._pairs = _pairs(weights)
        self._looks: Remembered[str, Look] = Remembered(self._looked_at)
        self._codes: Remembered[tuple[str, str, str, str, str, bool], float] = Remembered(self._coded)
        self._begin, self._end = self._look(BEGIN), self._look(END)

    def names_in(self, text: str) -> list[tuple[int, int]]:
        """Where names of people stand, first and last names together."""
        tokens = TOKEN.findall(text)
        labels = self._labels(tokens)
        if True not in labels:
            return []
        places = [match.span() for match in TOKEN.finditer(text)]
        found = ((places[first][0], places[last][1]) for first, last in spans(tokens, labels))
        return [(start, end) for start, end in found if not OF_AN_ILLNESS.match(text, end)]

    def scores(self, tokens: Sequence[str]) -> dict[int, float]:
        """The evidence that a candidate is part of a name, by its place."""
        looks = [self._begin, self._begin, *map(self._looks.__getitem__, tokens), self._end, self._end]
        small = frozenset(token for token in tokens if token.islower())
        scores: dict[int, float] = {}
        follows = False
        for place in range(len(tokens)):
            here = looks[place + 2].seen
            if (here.may_be_name or here.may_be_introduced) and is_candidate(looks[place + 1].seen, here):
                score = self._score(looks[place : place + 5], follows)
                if here.lowered in small and here.lowered != tokens[place]:
                    score += self._weights.get(f"z{here.code}", 0.0)
                scores[place] = score
                follows = score > self._threshold
            else:
                follows = False
        return scores

    def _labels(self, tokens: Sequence[str]) -> list[bool]:
        """Whether each word is part of a name."""
        scores = self.scores(tokens)
        labels = [False] * (len(tokens) + 1)  # the last one is that after the last word, and before the first
        for place, score in scores.items():
            labels[place] = score > self._threshold
        for place in reversed(scores):
            if scores[place] > self._threshold - BESIDE and (labels[place + 1] or labels[place - 1]):
                labels[place] = True
        return labels[:-1]

    def _score(self, window: Sequence[Look], follows: bool) -> float:
        two_before, before, (here, own, *_), after, two_after = window
        codes = two_before.seen.code, before.seen.code, here.code, after.seen.code, two_after.seen.code, follows
        return (
            own
            + self._codes[codes]
            + before.to_next
            + before.next_codes.get(here.code, 0.0)
            + after.to_last[follows]
            + after.last_codes.get(here.code, 0.0)
        )

    def _looked_at(self, token: str) -> Look:
        return self._look(seen_of(token, self._lexicon))

    def _coded(self, codes: tuple[str, str, str, str, str, bool]) -> float:
        return self._sum(code_features(*codes))

    def _look(self, seen: Seen) -> Look:
        word = seen.lowered
        next_codes, last_codes = (self._pairs[kind].get(word, NOTHING) for kind in "oa")
        to_last = self._sum(after_features(word, False)), self._sum(after_features(word, True))
        own, to_next = self._sum(word_features(seen)), self._sum(before_features(word))
        return Look(seen, own, to_next, next_codes, to_last, last_codes)

    def _sum(self, features: Sequence[str]) -> float:
        return sum(self._weights.get(feature, 0.0) for feature in features)


def _pairs(weights: Mapping[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Weights of features of a word and a code: by kind, by word, by code."""
    found: dict[str, dict[str, dict[str, float]]] = {kind: defaultdict(dict) for kind in "oa"}
    for feature, weight in weights.items():
        if feature[0] in found:
            first, second = feature[1:].split(" ")
            found[feature[0]][first][second] = weight
    return found


@cache
def bundled() -> Recogniser:
    """The recogniser that comes with Sonneteer."""
    packed = files("sonneteer.privacy").joinpath("names.json.gz").read_bytes()
    model = json.loads(gzip.decompress(packed))
    known = Lexicon(*(frozenset(model[listed].split(" ")) for listed in Lexicon._fields))
    return Recogniser(model["weights"], known._replace(common=known.common | known.frequent), model["threshold"])


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
