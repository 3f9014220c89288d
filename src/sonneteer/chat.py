"""The seam between models and everything that talks to them: `Chat`, and for likelihoods `LogProbs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from sonneteer.records import Example, Message, Prompt, Record, ToolCall

StopReason = Literal["end", "length", "stop_sequence", "tool_use", "refusal"]
"""`refusal`: a model behind an API, or a filter before it, declined; the text is what it said instead, if anything."""


class Form(Record):
    """What an answer must look like; a model that can be held to it writes nothing else."""

    json_schema: dict[str, Any] | None = None
    """The answer is JSON of this schema."""
    must_call: bool = False
    """The answer is a tool call."""
    only_tool: str | None = None
    """The one tool that may be called."""
    has_one_call: bool = False
    """At most one tool may be called."""


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
    form: Form = Form()
    frequency_penalty: float = 0.0
    """Taken from a token's logit for each time that it was written."""
    presence_penalty: float = 0.0
    """Taken from a token's logit once it was written."""
    logit_bias: dict[int, float] = Field(default_factory=dict)
    """Added to the logits of these tokens."""
    log_probs: int | None = Field(None, ge=0)
    """Also tell how likely each token was, and so many others that could have stood there."""
    scores_prompt: bool = False
    """Also tell how likely each token of the prompt was."""


class Chance(NamedTuple):
    """A written token, and how likely the model found it."""

    id: int
    raw: bytes
    """Its text; one token may be a part of a character."""
    log_prob: float | None
    """Natural logarithm; None for the first token of a prompt, which nothing predicts."""
    others: tuple[tuple[bytes, float], ...] = ()
    """The likeliest tokens that could have stood there, itself among them."""


class Answer(Record):
    """What a model said."""

    text: str
    stop_reason: StopReason
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0
    """Tokens of the prompt that had been read before."""
    confidence: float | None = None
    """Mean probability that the model gave the tokens it wrote, from 0 to 1; None where it does not tell."""
    chances: tuple[Chance, ...] = ()
    """One for each token, where that was asked for."""
    prompt_chances: tuple[Chance, ...] = ()
    end_chances: tuple[Chance, ...] = ()
    """The mark that ended the answer, where that was asked for: it is no part of the text."""


class Piece(NamedTuple):
    """A part of an answer on its way. The last one is empty and brings the whole answer."""

    text: str
    answer: Answer | None = None
    chances: tuple[Chance, ...] = ()


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


@runtime_checkable
class Remote(Protocol):
    """A model behind an API, where each question is paid for and fails on its own. Optional."""

    @property
    def at_once(self) -> int:
        """How many questions it may be asked at the same time."""
        ...


class Picture(NamedTuple):
    """An image in a message."""

    url: str
    """Its address, or the image itself as a `data:` URL."""
    place: str
    """Where it stands in the request."""
    at: int = 0
    """Before which character of the message's text it stands."""


class Illustrated(Message):
    """A message with images. Only its text is ever written down."""

    pictures: tuple[Picture, ...]


def pictures_of(prompt: Prompt) -> tuple[Picture, ...]:
    """All images of a conversation."""
    return tuple(picture for said in prompt.messages if isinstance(said, Illustrated) for picture in said.pictures)


Source = Prompt | str | tuple[int, ...]
"""What a model reads: a conversation, or plain text or token ids that no template is laid around."""


class Ticket(Protocol):
    """An answer that is under way."""

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the model reads."""
        ...

    def cancel(self) -> None:
        """Nobody waits for this answer any more. Harmless at any time, from any thread."""
        ...


@runtime_checkable
class Engine(Protocol):
    """A chat that answers many at once. Optional."""

    @property
    def seats(self) -> int:
        """How many answers are written at the same time."""
        ...

    def begin(self, source: Source, options: Options, tell: Callable[[Piece | Exception], None]) -> Ticket:
        """Begin an answer. `tell` gets its pieces, from another thread: the last brings the answer, or what failed.

        Raises RequestError for what cannot be answered, such as a prompt that is too long.
        """
        ...


@runtime_checkable
class Sees(Protocol):
    """A chat that knows whether its model sees. Optional; no other is given images."""

    @property
    def sees_images(self) -> bool:
        """Whether `Illustrated` messages are read whole."""
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
class TokenLogProbs(Protocol):
    """A model that can say how likely it finds each token of a given answer. Optional."""

    def token_log_probs(self, examples: Sequence[Example]) -> list[list[float]]:
        """Natural logarithms, one for each learned token of each example, in the same order."""
        ...


@runtime_checkable
class PlainText(Protocol):
    """A model that goes on from plain text, with no template around it, and weighs what others go on with. Optional."""

    @property
    def context(self) -> int:
        """Longest text and what it goes on with together, in tokens."""
        ...

    @property
    def opening_id(self) -> int:
        """The token that stands before a text with nothing before it."""
        ...

    def text_ids(self, text: str, has_marks: bool = True) -> list[int]:
        """What the model reads, with the marks that its tokenizer puts around a text or without them."""
        ...

    def continued(self, texts: Sequence[tuple[int, ...]], options: Options) -> list[Answer]:
        """How the model goes on from each text. Raises RequestError for one that is too long."""
        ...

    def continuation_likelihoods(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        """How likely the model finds the second part of each pair, behind the first, which must not be empty."""
        ...


@runtime_checkable
class LogProbs(Protocol):
    """A model that can say how likely it finds a given answer. Optional."""

    def likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        """One likelihood to each example, in the same order."""
        ...
