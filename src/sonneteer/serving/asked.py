"""What a request asks of a model, in our own words, whatever dialect it came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sonneteer.chat import Form, Options
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt
from sonneteer.serving.refusals import Refusal

COLDEST = 0.01
"""Below this temperature the likeliest token is certain in any case, and dividing by it may overflow."""
NARROWEST = 1e-6
"""A nucleus of nothing holds the likeliest token alone."""


class Asked(NamedTuple):
    """One request."""

    prompt: Prompt
    choices: tuple[Options, ...]
    """One for each answer that is wanted; they differ in their seeds."""
    texts: tuple[str | tuple[int, ...], ...] = ()
    """For each choice plain text or token ids to be read as they are, in place of the prompt."""

    @property
    def conversation(self) -> Prompt:
        """The prompt with the answer's given beginning as its last message."""
        if not self.choices[0].prefill:
            return self.prompt
        begun = Message(role="assistant", text=self.choices[0].prefill)
        return self.prompt.model_copy(update={"messages": (*self.prompt.messages, begun)})


class Sampling(NamedTuple):
    """How a request wants its answer drawn; None where it does not say."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Iterable[str]


def options_of(
    sampling: Sampling, prefill: str, settings: ServingSettings, seed: int, form: Form | None = None
) -> Options:
    """The request's wishes within the server's limits."""
    temperature = settings.temperature if sampling.temperature is None else sampling.temperature
    wanted = settings.max_answer_tokens if sampling.max_tokens is None else sampling.max_tokens
    return Options(
        max_tokens=min(wanted, settings.max_answer_tokens),
        temperature=temperature if temperature >= COLDEST else 0.0,
        top_p=1.0 if sampling.top_p is None else max(sampling.top_p, NARROWEST),
        top_k=sampling.top_k or None,
        stop=tuple(stop for stop in sampling.stop if stop),
        seed=seed,
        prefill=prefill,
        form=form or Form(),
    )


def split_prefill(messages: list[Message]) -> tuple[tuple[Message, ...], str]:
    """The conversation, and the beginning of the answer if its last message is the assistant's."""
    prefill = ""
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        if last.tool_calls:
            raise Refusal(
                400, "messages: the last message calls a tool, so the tool's result must follow it", field="messages"
            )
        prefill = last.text
    if not any(message.role in ("user", "tool") for message in messages):
        raise Refusal(400, "messages: at least one user message is required", field="messages")
    return tuple(messages), prefill


def merged(messages: Iterable[Message], roles: set[str]) -> list[Message]:
    """Consecutive messages of one of these roles become one, a line after the other."""
    told: list[Message] = []
    for message in messages:
        if told and message.role == told[-1].role and message.role in roles:
            before = told.pop()
            text = "\n".join(text for text in (before.text, message.text) if text)
            message = message.model_copy(update={"text": text, "tool_calls": before.tool_calls + message.tool_calls})
        told.append(message)
    return told
