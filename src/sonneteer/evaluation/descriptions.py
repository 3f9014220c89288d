"""What is described rather than tested: macro-F1, confusion, calibration, and ten answers beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.measure import Asked
from sonneteer.evaluation.scorers import choice_shares, choices_of
from sonneteer.evaluation.texts import rouge_l, words
from sonneteer.records import Classification, Example, SideBySide

MOST_CLASSES = 20
FEWEST_EACH = 2
BINS = 10
OTHER = "(something else)"
SHOWN = 10


def classification(examples: Sequence[Example], replies: Sequence[Reply]) -> Classification | None:
    """Accuracy, macro-F1 and confusion, where the right answers are a few labels that come again; else None."""
    labels = Counter(_label(example.answer.text) for example in examples)
    if not 2 <= len(labels) <= MOST_CLASSES or len(examples) < FEWEST_EACH * len(labels):
        return None
    confusion = {label: dict.fromkeys([*labels, OTHER], 0) for label in labels}
    for example, reply in zip(examples, replies, strict=True):
        given = _label(reply.text)
        confusion[_label(example.answer.text)][given if given in labels else OTHER] += 1
    right = sum(confusion[label][label] for label in labels)
    f1 = [2 * confusion[a][a] / (labels[a] + sum(confusion[b][a] for b in labels)) for a in labels]
    return Classification(accuracy=right / len(examples), macro_f1=sum(f1) / len(f1), confusion=confusion)


def calibration_error(examples: Sequence[Example], replies: Sequence[Reply]) -> float | None:
    """ECE (Naeini 2015): how far belief and success lie apart on multiple choice; None without choices."""
    told = [(choice_shares(reply), choices_of(e)) for e, reply in zip(examples, replies, strict=True) if reply.choices]
    rights = [e.answer.text for e, reply in zip(examples, replies, strict=True) if reply.choices]
    if not told:
        return None
    beliefs = np.array([shares.max() for shares, _ in told])
    hits = np.array([choices[int(s.argmax())] == right for (s, choices), right in zip(told, rights, strict=True)])
    bins = np.minimum((beliefs * BINS).astype(int), BINS - 1)
    gaps = [abs(float((beliefs - hits)[bins == b].sum())) for b in range(BINS)]
    return sum(gaps) / len(beliefs)


def side_by_side(asked: Asked) -> tuple[SideBySide, ...]:
    """Ten examples at even steps from the greatest loss to the greatest gain in ROUGE-L: a rule, and no choice."""
    references = [example.answer.text for example in asked.examples]
    gains = [
        rouge_l(reference, tuned.text) - rouge_l(reference, base.text)
        for reference, base, tuned in zip(references, asked.base, asked.tuned, strict=True)
    ]
    order = sorted(range(len(gains)), key=lambda i: (gains[i], asked.examples[i].id))
    places = np.unique(np.linspace(0, len(order) - 1, SHOWN).round().astype(int))
    return tuple(
        SideBySide(
            example_id=asked.examples[i].id,
            prompt=asked.examples[i].prompt.messages,
            tags=asked.examples[i].tags,
            reference=references[i],
            base=asked.base[i].text,
            tuned=asked.tuned[i].text,
            score_gain=gains[i],
        )
        for i in (order[place] for place in places)
    )


def _label(text: str) -> str:
    return " ".join(words(text))
