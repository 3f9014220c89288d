"""Texts of evaluation sets in the training data: a model that has seen the questions is not measured by them.

As in the literature (GPT-3, appendix C) texts are compared by sequences of thirteen words. Shorter texts of at least
eight words must stand in the example as they are, and still shorter ones must be what the user asks. In writing without
spaces two letters count as a word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from sonneteer.data.candidates import Outcome
from sonneteer.data.values import RawRow
from sonneteer.privacy.texts import texts_in
from sonneteer.records import Example
from sonneteer.words import LETTER, words_in

WORDS_IN_GRAM = 13
FEWEST_WORDS = 8
FEWEST_ASKED = 3
LETTERS_IN_WORD = 2
MOST_TEXTS = 50
"""A sequence that is in more texts of the evaluation set than this is its template, and tells nothing."""


class EvaluationText(NamedTuple):
    """A text of an evaluation set, and how many sequences it has."""

    place: str
    grams: int
    sequences: str
    """What they are, in words."""


class KeptOut:
    """All texts that must not be learned, by their sequences of words."""

    def __init__(self) -> None:
        self._texts: list[EvaluationText] = []
        self._with_gram: dict[bytes, list[int]] = defaultdict(list)
        self._asked: dict[str, str] = {}
        self._lengths: set[int] = set()

    def add(self, name: str, rows: Iterable[RawRow]) -> None:
        """All texts in the rows of an evaluation file."""
        for row in rows:
            for text in texts_in(row.fields):
                self._add(f"{name}:{row.number}", words_in(text.lower()))

    def without_contaminated(self, example: Example, share: float) -> Outcome:
        """Drop an example that holds so great a share of one evaluation text."""
        asked = [message.text for message in example.messages if message.role == "user"][-1:]
        words = words_in(" ".join(message.text for message in example.messages).lower())
        if asked and (place := self._asked.get(" ".join(words_in(asked[0].lower())))):
            return Outcome(None, f"it asks what {place} asks", "contaminated")
        hits = Counter(text for gram in self._grams_of(words) for text in self._with_gram.get(gram, ()))
        for text, found in hits.most_common(MOST_TEXTS):
            place, grams, sequences = self._texts[text]
            if found / grams >= share:
                said = f"{found / grams:.0%} of the {sequences} of {place}"
                return Outcome(None, f"it holds {said}", "contaminated")
        return Outcome(example)

    def _add(self, place: str, words: list[str]) -> None:
        is_unspaced = sum(LETTER.match(word) is not None for word in words) > len(words) / 2
        times, unit = (LETTERS_IN_WORD, "letter") if is_unspaced else (1, "word")
        if len(words) >= FEWEST_ASKED * times:
            self._asked.setdefault(" ".join(words), place)
        if len(words) < FEWEST_WORDS * times:
            return
        length = min(WORDS_IN_GRAM * times, len(words))
        self._lengths.add(length)
        grams = set(_grams(words, length))
        for gram in grams:
            if len(self._with_gram[gram]) <= MOST_TEXTS:
                self._with_gram[gram].append(len(self._texts))
        self._texts.append(EvaluationText(place, len(grams), f"{WORDS_IN_GRAM * times}-{unit} sequences"))

    def _grams_of(self, words: list[str]) -> set[bytes]:
        return {gram for length in self._lengths for gram in _grams(words, length)}


def _grams(words: list[str], length: int) -> Iterator[bytes]:
    # Python's own hash is another one in every process, and the machines of a cluster share what they look for.
    grams = zip(*(words[start:] for start in range(length)), strict=False)
    return (blake2b(" ".join(gram).encode("utf-8", "surrogatepass"), digest_size=8).digest() for gram in grams)
