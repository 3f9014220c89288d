"""What people said: one unit of data everywhere, and how a model reads it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import Field, model_validator

from sonneteer.records.record import Record, fingerprint_of

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Record):
    """The assistant asks for a tool to be run."""

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Message(Record):
    """One turn of a conversation."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """For a tool's turn: which call this is the result of."""
    weight: float = Field(1.0, ge=0)
    """How much an assistant's turn counts in training; 0 keeps it as context that is not imitated."""


class Prompt(Record):
    """What a model is asked: the conversation so far, and the tools it may call (JSON schemas)."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


class Example(Record):
    """A conversation that ends in the answer. Training learns `answer`; evaluation sends `prompt`."""

    messages: tuple[Message, ...]
    rejected: Message | None = None
    """A worse answer to the same prompt (preference data)."""
    label: bool | None = None
    """Whether people liked the answer (unpaired feedback)."""
    tools: tuple[dict[str, Any], ...] = ()
    reference: dict[str, Any] = Field(default_factory=dict)
    """Fields that a scorer or a reward may compare the answer with."""
    tags: dict[str, str] = Field(default_factory=dict)
    """What is counted and kept together: source, topic, group, person, conversation, document, time."""
    is_text: bool = False
    """Plain text without roles: one message, rendered as it stands and learned whole."""

    @model_validator(mode="after")
    def _ends_in_an_answer(self) -> Example:
        if not self.messages or self.messages[-1].role != "assistant":
            raise ValueError("the last message must be the assistant's answer")
        return self

    @property
    def prompt(self) -> Prompt:
        """The conversation before the answer."""
        return Prompt(messages=self.messages[:-1], tools=self.tools)

    @property
    def answer(self) -> Message:
        """The last message: what a good model says here."""
        return self.messages[-1]

    def with_answer(self, answer: Message) -> Example:
        """The same question with another answer."""
        return self.model_copy(update={"messages": (*self.messages[:-1], answer), "rejected": None, "label": None})

    @property
    def as_rejected(self) -> Example | None:
        """The same question with the rejected answer, where there is one."""
        return None if self.rejected is None else self.with_answer(self.rejected)

    @cached_property
    def id(self) -> str:
        """Fingerprint of what the example says. Tags do not count: the same words twice are a duplicate."""
        return fingerprint_of(self.model_dump(mode="json", exclude={"tags", "reference"}))


class Rendered(NamedTuple):
    """An example as a model reads it: `weights[i]` is the loss weight of predicting `ids[i]` (0: not learned)."""

    ids: list[int]
    weights: list[float]


class Renderer(Protocol):
    """Turns examples into token ids with one model's own template."""

    def render(self, example: Example) -> list[Rendered]:
        """Token ids and loss weights: usually one sequence, several where one cannot hold all that is learned."""
        ...
