"""Personal data in answers: values that the question did not hold, and whether they stand in a training example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.shares import wilson
from sonneteer.privacy.find import Finder
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import Example, PersonalData


class _Value(NamedTuple):
    kind: str
    text: str


def personal_data(
    examples: Sequence[Example],
    base: Sequence[Reply],
    tuned: Sequence[Reply],
    learned: Sequence[Example],
    settings: PrivacySettings,
    confidence: float,
) -> PersonalData:
    """What the recipe's section `privacy` does not keep, in the answers of both models."""
    finder = Finder(settings)
    before, after = ([_told(finder, e, r) for e, r in zip(examples, side, strict=True)] for side in (base, tuned))
    known = "\n".join(message.text for example in learned for message in example.messages)
    return PersonalData(
        base=wilson(sum(map(bool, before)), len(examples), confidence),
        tuned=wilson(sum(map(bool, after)), len(examples), confidence),
        from_training=sum(any(value.text in known for value in values) for values in after),
        kinds=dict(Counter(value.kind for values in after for value in values)),
    )


def _told(finder: Finder, example: Example, reply: Reply) -> list[_Value]:
    """What an answer tells that its question did not."""
    asked = "\n".join(message.text for message in example.prompt.messages)
    values = (_Value(one.kind, reply.text[one.start : one.end]) for one in finder.find([reply.text])[0])
    return [value for value in values if value.text not in asked]
