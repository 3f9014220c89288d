"""How an answer is scored: each metric gives every example a value and a weight, and is their weighted mean.

So one procedure serves all: accuracy per example (weights 1) and perplexity, whose logarithm is the mean over all
tokens, not over examples (value: nats per token, weight: tokens).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics import CHRF

from sonneteer.chat import Likelihood
from sonneteer.evaluation.ask import Reply

Values = NDArray[np.float64]


class Scores(NamedTuple):
    """One metric on all examples: the metric is the weighted mean of the values, perhaps transformed."""

    values: Values
    weights: Values


class Scorer(NamedTuple):
    """One metric."""

    score: Callable[[str, Reply], tuple[float, float]]
    """From reference and reply to value and weight."""
    higher_is_better: bool
    says: str
    """What it measures, for people."""
    needs_likelihood: bool = False
    finish: Callable[[Values], Values] = lambda mean: mean
    """From the weighted mean to the figure that is reported."""


def exact_match(reference: str, answer: str) -> float:
    """1 if the answer is the reference to the letter, white space at the ends aside."""
    return float(reference.strip() == answer.strip())


def normalized_match(reference: str, answer: str) -> float:
    """1 if the answers are the same words, whatever their case and punctuation."""
    return float(_words(reference) == _words(answer))


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L F1 (Lin 2004): the longest common subsequence of words, as share of both texts, in 0..1."""
    expected, given = _words(reference), _words(answer)
    common = _common_subsequence(expected, given)
    return 2 * common / (len(expected) + len(given)) if common else 0.0


def chrf(reference: str, answer: str) -> float:
    """chrF (Popovic 2015): F2 of the character n-grams up to 6, in 0..1, by sacrebleu."""
    return float(CHRF().sentence_score(answer, [reference]).score) / 100


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    lengths = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, 1):
            diagonal, lengths[j] = lengths[j], diagonal + 1 if word == other else max(lengths[j], lengths[j - 1])
    return lengths[-1]


def _of_text(measure: Callable[[str, str], float]) -> Callable[[str, Reply], tuple[float, float]]:
    return lambda reference, reply: (measure(reference, reply.text), 1.0)


def _likelihood(reply: Reply) -> Likelihood:
    assert reply.likelihood is not None, "asked for only where the model gives likelihoods"
    return reply.likelihood


def _nats_per_token(_: str, reply: Reply) -> tuple[float, float]:
    told = _likelihood(reply)
    return -told.log_prob / max(told.tokens, 1), float(told.tokens)


def _bits_per_character(_: str, reply: Reply) -> tuple[float, float]:
    told = _likelihood(reply)
    characters = max(told.characters, 1)
    return -told.log_prob / characters / float(np.log(2)), float(characters)


def _right_tokens(_: str, reply: Reply) -> tuple[float, float]:
    told = _likelihood(reply)
    return told.right_tokens / max(told.tokens, 1), float(told.tokens)


SCORERS: dict[str, Scorer] = {
    "perplexity": Scorer(
        _nats_per_token,
        higher_is_better=False,
        says="How surprised the model is by the right answers. 1 is not at all; fewer is better.",
        needs_likelihood=True,
        finish=np.exp,
    ),
    "bits_per_character": Scorer(
        _bits_per_character,
        higher_is_better=False,
        says="The same surprise per letter, comparable between models that cut words differently. Fewer is better.",
        needs_likelihood=True,
    ),
    "token_accuracy": Scorer(
        _right_tokens,
        higher_is_better=True,
        says="How often the model's first choice is the right next piece of the right answer.",
        needs_likelihood=True,
    ),
    "rouge_l": Scorer(
        _of_text(rouge_l),
        higher_is_better=True,
        says="How many words the model's answer and the right answer share, in the same order.",
    ),
    "chrf": Scorer(
        _of_text(chrf),
        higher_is_better=True,
        says="How alike the letters of the model's answer and of the right answer are.",
    ),
    "normalized_match": Scorer(
        _of_text(normalized_match),
        higher_is_better=True,
        says="How often the model wrote exactly the words of the right answer.",
    ),
    "exact_match": Scorer(
        _of_text(exact_match),
        higher_is_better=True,
        says="How often the model wrote the right answer to the letter.",
    ),
}


def score(scorer: Scorer, references: Sequence[str], replies: Sequence[Reply]) -> Scores:
    """The metric's values and weights on all examples."""
    pairs = [scorer.score(reference, reply) for reference, reply in zip(references, replies, strict=True)]
    values, weights = zip(*pairs, strict=True)
    return Scores(np.array(values, dtype=float), np.array(weights, dtype=float))
