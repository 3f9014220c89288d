"""How an answer is scored: each metric gives every example a value and a weight, and is their weighted mean.

So one procedure serves all: accuracy per example (weights 1) and perplexity, whose logarithm is the mean over all
tokens, not over examples (value: nats per token, weight: tokens). An example to which a metric does not apply weighs
nothing, whatever the models answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sonneteer.chat import Likelihood
from sonneteer.errors import DataError
from sonneteer.evaluation import texts
from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.intervals import SHARE, Ends, Values
from sonneteer.records import Example


class Scores(NamedTuple):
    """One metric on all examples: the metric is the weighted mean of the values, perhaps transformed."""

    values: Values
    weights: Values


class Scored(NamedTuple):
    """One metric on one example."""

    value: float
    weight: float = 1.0


NOTHING = Scored(0.0, 0.0)


class Scorer(NamedTuple):
    """One metric."""

    score: Callable[[Example, Reply], Scored]
    higher_is_better: bool
    says: str
    """What it measures, for people."""
    needs_likelihood: bool = False
    finish: Callable[[Values], Values] = lambda mean: mean
    """From the weighted mean to the figure that is reported."""
    bounds: Ends | None = None
    """Between which ends every value lies, if there are some."""


def of_answer(
    measure: Callable[[str, str], float | None], says: str, higher_is_better: bool = True, bounds: Ends | None = None
) -> Scorer:
    """A metric from your own function of reference and answer; None where it does not apply to a reference.

    Put it into the table: `SCORERS["polite"] = of_answer(polite, says="How often it says please.", bounds=SHARE)`.
    Without its bounds, fifty answers that are all right would count as proof that no answer is ever wrong.
    """

    def score(example: Example, reply: Reply) -> Scored:
        value = measure(example.answer.text, reply.text)
        return NOTHING if value is None else Scored(_checked(value, bounds, says, example))

    return Scorer(score, higher_is_better, says, bounds=bounds)


def _checked(value: object, bounds: Ends | None, says: str, example: Example) -> float:
    """What a function said, as a number that can be averaged."""
    ends = bounds or Ends(-math.inf, math.inf)
    if isinstance(value, int | float | np.number) and math.isfinite(value) and ends.low <= value <= ends.high:
        return float(value)
    between = f" from {ends.low:g} to {ends.high:g}" if bounds else ""
    raise DataError(
        f"The metric '{says}' gave {value!r} for example {example.id}. Its function must return a finite number"
        f"{between}, or None where it does not apply. The answers are kept: mend it, and evaluate again."
    )


_share = partial(of_answer, bounds=SHARE)


def _source(example: Example) -> str:
    """All that the model was given."""
    return "\n".join(message.text for message in example.prompt.messages)


def _known(measure: Callable[[str, str], float | None]) -> Callable[[Example, Reply], Scored]:
    """An answer that claims nothing claims nothing wrong."""

    def score(example: Example, reply: Reply) -> Scored:
        share = measure(_source(example), reply.text)
        return Scored(1.0 if share is None else share)

    return score


def _phrases(field: str, is_wanted: bool) -> Callable[[Example, Reply], Scored]:
    """Share of the phrases in the example's `reference` that stand in the answer, or that do not."""

    def score(example: Example, reply: Reply) -> Scored:
        phrases = [str(phrase).lower() for phrase in example.reference.get(field) or ()]
        said = [(phrase in reply.text.lower()) == is_wanted for phrase in phrases]
        return Scored(sum(said) / len(said)) if said else NOTHING

    return score


def choices_of(example: Example) -> list[str]:
    """The answers to choose from, where the example's `reference` gives some and the right one is among them."""
    choices: Any = example.reference.get("choices") or ()
    told = [str(choice) for choice in choices]
    return told if example.answer.text in told else []


def choice_shares(reply: Reply) -> Values:
    """How the model's belief is spread over the choices."""
    logits = np.array(reply.choices, dtype=float)
    weights: Values = np.exp(logits - logits.max())
    shares: Values = weights / weights.sum()
    return shares


def _chosen(example: Example, reply: Reply) -> Scored:
    choices = choices_of(example)
    if not choices or not reply.choices:
        return NOTHING
    return Scored(float(choices[int(np.argmax(reply.choices))] == example.answer.text))


def _preferred(_: Example, reply: Reply) -> Scored:
    """Whether the whole right answer is likelier than the whole rejected one."""
    if reply.rejected is None:
        return NOTHING
    return Scored(float(_likelihood(reply).log_prob > reply.rejected))


def _brier(example: Example, reply: Reply) -> Scored:
    choices = choices_of(example)
    if not choices or not reply.choices:
        return NOTHING
    truth = np.array([choice == example.answer.text for choice in choices], dtype=float)
    return Scored(float(((choice_shares(reply) - truth) ** 2).sum()))


def _likelihood(reply: Reply) -> Likelihood:
    assert reply.likelihood is not None, "asked for only where the model gives likelihoods"
    return reply.likelihood


def _nats_per_token(_: Example, reply: Reply) -> Scored:
    told = _likelihood(reply)
    return Scored(-told.log_prob / max(told.tokens, 1), float(told.tokens))


def _bits_per_character(_: Example, reply: Reply) -> Scored:
    told = _likelihood(reply)
    characters = max(told.characters, 1)
    return Scored(-told.log_prob / characters / float(np.log(2)), float(characters))


def _right_tokens(_: Example, reply: Reply) -> Scored:
    told = _likelihood(reply)
    return Scored(told.right_tokens / max(told.tokens, 1), float(told.tokens))


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
        bounds=SHARE,
    ),
    "rouge_l": _share(
        texts.rouge_l, "How many words the model's answer and the right answer share, in the same order."
    ),
    "chrf": _share(texts.chrf, "How alike the letters of the model's answer and of the right answer are."),
    "normalized_match": _share(
        texts.normalized_match, "How often the model wrote exactly the words of the right answer."
    ),
    "exact_match": _share(texts.exact_match, "How often the model wrote the right answer to the letter."),
    "word_f1": _share(texts.word_f1, "How many words the two answers share, in any order."),
    "rouge_1": _share(lambda right, given: texts.rouge_n(right, given, 1), "How many words the two answers share."),
    "rouge_2": _share(lambda right, given: texts.rouge_n(right, given, 2), "How many pairs of words they share."),
    "bleu": _share(texts.bleu, "How many short runs of words of the model's answer stand in the right one."),
    "json_valid": _share(lambda _, given: texts.is_json(given), "How often the answer is a JSON document."),
    "json_fields": _share(texts.json_f1, "How many fields and values of the right JSON document the answer has."),
    "choice_accuracy": Scorer(
        _chosen,
        True,
        "How often the model finds the right one of the given choices likeliest.",
        needs_likelihood=True,
        bounds=SHARE,
    ),
    "preference_accuracy": Scorer(
        _preferred,
        True,
        "How often the right answer is likelier than the rejected one.",
        needs_likelihood=True,
        bounds=SHARE,
    ),
    "choice_brier": Scorer(
        _brier,
        False,
        "How far its belief in the choices lies from the truth: 0 is best.",
        needs_likelihood=True,
        bounds=Ends(0.0, 2.0),
    ),
    "numbers_known": Scorer(
        _known(texts.numbers_known),
        True,
        "How many of the answer's numbers stand in what the model was given.",
        bounds=SHARE,
    ),
    "citations_known": Scorer(
        _known(texts.citations_known),
        True,
        "How many of the answer's citations stand in what the model was given.",
        bounds=SHARE,
    ),
    "required_phrases": Scorer(
        _phrases("required", True), True, "How many of the required phrases are in the answer.", bounds=SHARE
    ),
    "forbidden_phrases": Scorer(
        _phrases("forbidden", False),
        True,
        "How many of the forbidden phrases are kept out of the answer.",
        bounds=SHARE,
    ),
    "refusals": _share(
        lambda _, given: texts.is_refusal(given), "How often the answer is a refusal.", higher_is_better=False
    ),
    "answer_words": of_answer(
        lambda _, given: float(len(texts.words(given))), "Words of an answer; fewer counts as better.", False
    ),
    "length_error": of_answer(
        lambda right, given: abs(np.log((1 + len(given)) / (1 + len(right)))).item(),
        "How far the answer's length is from the right one's: 0 is the same, 0.7 is twice or half.",
        higher_is_better=False,
    ),
    "reading_ease": of_answer(
        lambda _, given: texts.reading_ease(given), "How easy the answer is to read (Flesch): 60 is plain English."
    ),
}
"""Every metric that a recipe can name."""


def score(scorer: Scorer, examples: Sequence[Example], replies: Sequence[Reply]) -> Scores:
    """The metric's values and weights on all examples."""
    pairs = [scorer.score(example, reply) for example, reply in zip(examples, replies, strict=True)]
    values, weights = zip(*pairs, strict=True)
    return Scores(np.array(values, dtype=float), np.array(weights, dtype=float))
