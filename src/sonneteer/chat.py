"""The seam between models and everything that talks to them: `Chat`, and for likelihoods `LogProbs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from sonneteer.records import Example, Prompt, Record, ToolCall

StopReason = Literal["end", "length", "stop_sequence", "tool_use"]


class Options(Record):
    """How an answer is drawn."""

    max_tokens: int = Field(256, ge=0)
    temperature: float = Field(0.0, ge=0)
    """0 takes the likeliest token each time."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these texts."""
    seed: int = 0
    prefill: str = ""
    """The answer's first words, already given: the model goes on from there."""


class Answer(Record):
    """What a model said."""

    text: str
    stop_reason: StopReason
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int
    answer_tokens: int


class Piece(NamedTuple):
    """A part of an answer on its way. The last one is empty and brings the whole answer."""

    text: str
    answer: Answer | None = None


@runtime_checkable
class Chat(Protocol):
    """A model one can talk to."""

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """One answer to each prompt, in the same order."""
        ...

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The answer piece by piece. Closing the iterator stops the work."""
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """How many tokens the model reads for this prompt."""
        ...


class Likelihood(NamedTuple):
    """How likely a model finds the learned tokens of one example."""

    log_prob: float
    """Sum of natural logarithms over the learned tokens."""
    tokens: int
    right_tokens: int
    """Learned tokens that were the model's first choice."""
    characters: int
    """Characters of the learned text: what makes models with other tokenizers comparable."""


@runtime_checkable
class LogProbs(Protocol):
    """A model that can say how likely it finds a given answer. Optional."""

    def likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        """One likelihood to each example, in the same order."""
        ...
