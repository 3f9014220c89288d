"""Answers that say nothing of the matter: a model speaking of itself, a refusal without a reason, a placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sonneteer.data.candidates import Outcome
from sonneteer.records import Example

PHRASES = (
    "as an ai language model",
    "as an ai assistant",
    "as a large language model",
    "i am an ai language model",
    "i'm an ai language model",
    "i am a large language model",
    "my knowledge cutoff",
    "my training data only goes",
    "i cannot fulfill that request",
    "i can't assist with that request",
    "i cannot assist with that request",
    "regenerate response",
    "lorem ipsum",
    "insert your text here",
    "[your name]",
)


def without_boilerplate(example: Example, phrases: Sequence[str], action: Literal["flag", "drop"]) -> Outcome:
    """Note or drop an answer that holds one of the usual phrases, or one of these."""
    answer = " ".join(example.answer.text.lower().replace("’", "'").split())
    said = next((phrase for phrase in (*PHRASES, *phrases) if phrase in answer), None)
    if said is None:
        return Outcome(example)
    reason = f"boilerplate: the answer says '{said}'"
    return Outcome(None, reason) if action == "drop" else Outcome(example, reason)
