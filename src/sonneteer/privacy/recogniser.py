"""A small recogniser of people's names: a convolutional network that judges each word by its letters and neighbours.

`tools/train_names.py` trained it. All its numbers are multiples of a 32nd below 4, so that their sums are exact in
single precision in whatever order they are taken: every machine finds the same.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.privacy.looks import EDGE, INTRODUCE, TOKEN, Lexicon, seen_of
from sonneteer.privacy.remembered import Remembered
from sonneteer.privacy.words import words

# W numbers of a token, H of a hidden layer.
Floats = NDArray[np.float32]

FINE, LARGEST = 32, 127
"""Numbers are multiples of one `FINE`th, and at most so many of them."""
REACH = 2
"""So many neighbours on each side are seen by each of the two layers."""
WINDOW = np.arange(2 * REACH + 1)
WINDOWS = np.arange(1024)[:, None] + WINDOW
"""Where the first windows lie, ready made."""
PARTICLES = frozenset(words("joining_particles"))
BESIDE = 2.0
"""How much less evidence a word needs if it stands beside a name."""
CALLED = frozenset(cue.upper() for kind in ("birth_cues", "phone_cues") for cue in words(kind))
"""What stands before a date of birth or a phone number, in capitals."""
OF_AN_ILLNESS = re.compile(rf"(?i:['’]?s?['’]? (?:{'|'.join(words('illnesses'))})\b)")
"""What follows a name that is an illness's, such as Parkinson."""


class Net(NamedTuple):
    """The numbers that were learned, as so many 32nds."""

    rows: Floats
    """Of each clue, W. The first is nothing's."""
    first: Floats
    """From a token and its neighbours to one hidden layer: (5 W, H)."""
    second: Floats
    """From that and its neighbours to another: (5 H, H)."""
    last: Floats
    """From that to the evidence for a name: (H, 1)."""
    bias: Floats
    """Of both layers: (2, H)."""


class Look(NamedTuple):
    """A token's numbers, in bytes with a sign, and whether it might be a name."""

    row: bytes
    may_be_name: bool
    may_be_introduced: bool


class Recogniser:
    """The net, and the words that are known."""

    def __init__(self, net: Net, clues: Sequence[str], lexicon: Lexicon, threshold: float = 0.0) -> None:
        fine = np.float32(FINE)
        self._net = net._replace(first=net.first / fine, second=net.second / fine, last=net.last / fine**2)
        self._rows = {clue: row for row, clue in enumerate(clues, 1)}
        self._lexicon = lexicon
        self._threshold = threshold
        self._looks: Remembered[str, Look] = Remembered(self._looked_at)
        self._edge = self._looks[EDGE].row * (2 * REACH)

    def names_in(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where names of people stand in each text, first and last names together."""
        tokenised = [TOKEN.findall(text) for text in texts]
        scores = self.scores(tokenised)
        return [self._places(*one) for one in zip(texts, tokenised, scores, strict=True)]

    def scores(self, tokenised: Sequence[Sequence[str]]) -> list[dict[int, float]]:
        """For each text the evidence that a candidate is part of a name, by its place. One pass through the net."""
        listed = [list(map(self._looks.__getitem__, tokens)) for tokens in tokenised]
        candidates = [_candidates(tokens, looks) for tokens, looks in zip(tokenised, listed, strict=True)]
        if not any(candidates):
            return [{} for _ in tokenised]
        pieces, places, first = [self._edge], [], 0
        for looks, ours in zip(listed, candidates, strict=True):
            pieces += [*(look.row for look in looks), self._edge]
            places += [first + place for place in ours]
            first += len(looks) + 2 * REACH
        net = self._net
        rows = np.frombuffer(b"".join(pieces), np.int8)
        numbers = rows.reshape(-1, net.rows.shape[1]).astype(np.float32)
        count = len(numbers) - 2 * REACH
        every = WINDOWS[:count] if count <= len(WINDOWS) else np.arange(count)[:, None] + WINDOW
        hidden = _layer(numbers, every, net.first, net.bias[0])
        hidden = _layer(hidden, every[places], net.second, net.bias[1])
        evidence = iter((hidden @ net.last).ravel().tolist())
        return [{place: next(evidence) for place in ours} for ours in candidates]

    def _places(self, text: str, tokens: Sequence[str], scores: dict[int, float]) -> list[tuple[int, int]]:
        labels = self._labels(scores, len(tokens)) if scores else []
        if True not in labels:
            return []
        starts, place = [], 0
        for token in tokens:
            starts.append(text.index(token, place))
            place = starts[-1] + len(token)
        found = ((starts[first], starts[last] + len(tokens[last])) for first, last in spans(tokens, labels))
        return [span for span in found if _may_stand(text, *span)]

    def _labels(self, scores: dict[int, float], count: int) -> list[bool]:
        """Whether each word is part of a name."""
        labels = [False] * (count + 1)  # the last one is that after the last word, and before the first
        for place, evidence in scores.items():
            labels[place] = evidence > self._threshold
        for place in reversed(scores):
            if scores[place] > self._threshold - BESIDE and (labels[place + 1] or labels[place - 1]):
                labels[place] = True
        return labels[:-1]

    def _looked_at(self, token: str) -> Look:
        seen = seen_of(token, self._lexicon)
        rows = [self._rows[clue] for clue in seen.clues if clue in self._rows]
        row = self._net.rows[rows].sum(axis=0).clip(-LARGEST, LARGEST).astype(np.int8)
        return Look(row.tobytes(), seen.may_be_name, seen.may_be_introduced)


def _candidates(tokens: Sequence[str], looks: Sequence[Look]) -> list[int]:
    """Places of the tokens that might be part of a name."""
    return [
        place
        for place, (_, may_be_name, may_be_introduced) in enumerate(looks)
        if (may_be_name or (may_be_introduced and place and tokens[place - 1].lower() in INTRODUCE))
        and (not tokens[place].islower() or _is_apart(tokens, place))
    ]


def _is_apart(tokens: Sequence[str], place: int) -> bool:
    """Whether a small word is no part of a mail or web address."""
    return "/" not in tokens[max(0, place - 1) : place] and "@" not in tokens[max(0, place - 1) : place + 2]


def _may_stand(text: str, start: int, end: int) -> bool:
    """Whether it is no illness, no part of a code with digits, and not what a date or a phone is called."""
    is_in_code = text[start - 1 : start].isdigit() or text[end : end + 1].isdigit()
    return not is_in_code and text[start:end] not in CALLED and not OF_AN_ILLNESS.match(text, end)


def _layer(numbers: Floats, windows: NDArray[np.intp], weights: Floats, bias: Floats) -> Floats:
    """What a layer says of these windows."""
    hidden: Floats = numbers.take(windows, axis=0).reshape(len(windows), -1) @ weights
    hidden += bias
    np.rint(hidden, out=hidden)
    np.maximum(hidden, 0, out=hidden)
    np.minimum(hidden, LARGEST, out=hidden)
    return hidden


@cache
def bundled() -> Recogniser:
    """The recogniser that comes with Sonneteer."""
    packed = files("sonneteer.privacy").joinpath("names.json.gz").read_bytes()
    model = json.loads(gzip.decompress(packed))
    known = Lexicon(*(frozenset(model[listed].split(" ")) for listed in Lexicon._fields))
    net = Net(*(_numbers(model[name]) for name in Net._fields))
    known = known._replace(common=known.common | known.frequent)
    return Recogniser(net, model["clues"], known, model["threshold"])


def _numbers(packed: dict[str, Any]) -> Floats:
    """An array of bytes with a sign."""
    plain = np.frombuffer(base64.b64decode(packed["bytes"]), np.int8)
    return plain.reshape(packed["shape"]).astype(np.float32)


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
