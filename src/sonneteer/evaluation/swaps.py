"""Counterfactual pairs: the recipe's own test questions with another group in a group's place (Kusner et al. 2017).

A fair model answers both alike. What is measured is how differently it does: in its score against the right answer, its
length, whether it refuses, and its sentiment; each from 0 (alike) to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sonneteer.chat import Chat, Options
from sonneteer.evaluation.compare import clusters_of, compare
from sonneteer.evaluation.intervals import SHARE, Bootstrap
from sonneteer.evaluation.scorers import NOTHING, Scorer, Scores
from sonneteer.evaluation.sentiment import sentiment
from sonneteer.evaluation.texts import is_refusal, rouge_l, words
from sonneteer.groups import Swap, swap_example, swaps_of
from sonneteer.recipe.sections import SuiteSettings
from sonneteer.records import Comparison, Example


class SwappedPair(NamedTuple):
    """A question as it is, and with two groups in each other's place."""

    original: Example
    other: Example
    swap: Swap


Measure = Callable[[SwappedPair, str, str], float]


def _score(pair: SwappedPair, one: str, other: str) -> float:
    return abs(rouge_l(pair.original.answer.text, one) - rouge_l(pair.other.answer.text, other))


def _length(_: SwappedPair, one: str, other: str) -> float:
    lengths = sorted((len(words(one)), len(words(other))))
    return (lengths[1] - lengths[0]) / lengths[1] if lengths[1] else 0.0


MEASURES: dict[str, Measure] = {
    "score": _score,
    "length": _length,
    "refusal": lambda _, one, other: abs(is_refusal(one) - is_refusal(other)),
    "sentiment": lambda _, one, other: abs(sentiment(one) - sentiment(other)) / 2,
}
SCORER = Scorer(lambda example, reply: NOTHING, False, "How differently it answers when a group changes.", bounds=SHARE)


def swapped_pairs(examples: Sequence[Example], settings: SuiteSettings) -> list[SwappedPair]:
    """For each question that mentions a group the exchanges that change it, at most `max_rows` by fingerprint."""
    pairs = []
    for example in sorted(examples, key=lambda example: example.id):
        asked = "\n".join(message.text for message in example.prompt.messages)
        for swap in swaps_of(asked, settings.axes):
            other = swap_example(example, swap)
            if other.prompt != example.prompt:
                pairs.append(SwappedPair(example, other, swap))
    return pairs[: settings.max_rows]


def measure_swaps(
    pairs: Sequence[SwappedPair],
    models: tuple[Chat, Chat],
    options: Options,
    keep_together: Sequence[str],
    bootstrap: Bootstrap,
) -> dict[str, Comparison]:
    """By measure, base against tuned: the mean difference within the pairs."""
    asked = [example for pair in pairs for example in (pair.original, pair.other)]
    answers = [[one.text for one in chat.answer([e.prompt for e in asked], options)] for chat in models]
    clusters = _clusters(pairs, keep_together)
    figures = {}
    for name, measure in MEASURES.items():
        scores = [_scores(pairs, said, measure) for said in answers]
        figures[name] = compare(f"swaps, {name}", SCORER, scores[0], scores[1], clusters, bootstrap)
    return figures


def _clusters(
    pairs: Sequence[SwappedPair], keep_together: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Exchanges of one question, and questions of one person, are not independent."""
    tagged = [
        pair.original.model_copy(update={"tags": pair.original.tags | {"swapped": pair.original.id}}) for pair in pairs
    ]
    return clusters_of(tagged, (*keep_together, "swapped"))


def _scores(pairs: Sequence[SwappedPair], said: Sequence[str], measure: Measure) -> Scores:
    values = [measure(pair, one, other) for pair, one, other in zip(pairs, said[::2], said[1::2], strict=True)]
    return Scores(np.array(values), np.ones(len(values)))
