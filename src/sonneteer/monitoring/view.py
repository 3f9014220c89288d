"""What is looked at: a few figures of each question and answer, and where a question lies among known ones.

The places are fitted on texts that are neither the profile nor the traffic. Fitted on one of the two sides they would
make that side look nearer to itself, and every comparison would raise an alarm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.words import WORD

Figures = NDArray[np.float64]
REFUSAL = re.compile(
    r"(?i)\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|cannot|could not|won't|will not) "
    r"(?:help|assist|answer|do|provide|tell|share)|as an ai\b|i do(?:n't| not) (?:know|have (?:that|this|any) info))"
)
DIMENSIONS = 128
NEAREST = 3
CHUNK = 500
COMMON_LANGUAGE = 0.01
"""A language counts as known if this share of the texts that the view was fitted on seems to be written in it."""


class Seen(NamedTuple):
    """One question with its answer, as far as there is one."""

    question: str
    answer: str | None = None
    confidence: float | None = None
    is_bad: bool | None = None
    """Whether people disliked the answer; None where nobody said."""
    has_feedback: bool | None = None
    """Whether people said anything of it soon; None where they still may."""


class View:
    """Knows a domain's questions well enough to say what is new in others."""

    def __init__(self, texts: Sequence[str], seed: int = 0) -> None:
        self._texts = list(texts)
        self._seed = seed

    def places(self, texts: Sequence[str]) -> Figures:
        """Where texts lie among topics: rows of length one."""
        from sklearn.preprocessing import normalize

        found: Figures = normalize(self._axes.transform(self._pieces.transform(texts)))
        return found

    def novelty(self, texts: Sequence[str]) -> Figures:
        """How far each text is from its nearest known ones: 0 says nothing new, 1 has nothing in common with any."""
        found = [self._novelty(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
        return np.concatenate(found) if found else np.zeros(0)

    def _novelty(self, texts: Sequence[str]) -> Figures:
        near = (self._pieces.transform(texts) @ self._known.T).toarray()
        count = min(NEAREST, near.shape[1])
        found: Figures = 1 - np.partition(near, -count, axis=1)[:, -count:].mean(axis=1)
        return found

    def signals(self, seen: Sequence[Seen]) -> dict[str, Figures]:
        """The figures of each exchange by name; not a number where there is none."""
        questions = [one.question for one in seen]
        answers = [one.answer for one in seen]
        return {
            "topics": self.novelty(questions),
            "question length": np.array([len(WORD.findall(text)) for text in questions], dtype=float),
            "new words": np.array([self._new_words(text) for text in questions]),
            "other language": np.array([float(self._is_foreign(text)) for text in questions]),
            "answer length": np.array([_maybe(None if text is None else len(WORD.findall(text))) for text in answers]),
            "refusals": np.array([_maybe(None if text is None else bool(REFUSAL.search(text))) for text in answers]),
            "confidence": np.array([_maybe(one.confidence) for one in seen]),
            "disliked": np.array([_maybe(one.is_bad) for one in seen]),
            "feedback rate": np.array([_maybe(one.has_feedback) for one in seen]),
        }

    @cached_property
    def _pieces(self) -> Any:
        """Weights of the pieces of words: near words have pieces in common, so that plurals are not new."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        pieces = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 5), max_features=50_000)
        return pieces.fit(self._texts)

    @cached_property
    def _known(self) -> Any:
        return self._pieces.transform(self._texts)

    @cached_property
    def _axes(self) -> Any:
        from sklearn.decomposition import TruncatedSVD

        size = min(DIMENSIONS, *(length - 1 for length in self._known.shape))
        return TruncatedSVD(max(size, 1), random_state=self._seed).fit(self._known)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(word for text in self._texts for word in WORD.findall(text.lower()))

    @cached_property
    def _languages(self) -> frozenset[str]:
        counts = Counter(_language(text) for text in self._texts)
        return frozenset(name for name, count in counts.items() if count >= COMMON_LANGUAGE * len(self._texts))

    def _new_words(self, text: str) -> float:
        words = WORD.findall(text.lower())
        return sum(word not in self._vocabulary for word in words) / len(words) if words else 0.0

    def _is_foreign(self, text: str) -> bool:
        return _language(text) not in self._languages


def _language(text: str) -> str:
    import py3langid

    return str(py3langid.classify(text)[0])


def _maybe(value: float | None) -> float:
    return float("nan") if value is None else float(value)
