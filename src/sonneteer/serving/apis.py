"""The APIs that answer, as one table: what a request of each says, and what its answer looks like."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, NamedTuple

from sonneteer.chat import Answer
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import anthropic, anthropic_answers, openai, openai_answers, openai_text
from sonneteer.serving.asked import Asked
from sonneteer.serving.turns import Turn
from sonneteer.serving.wire import Body, Dialect

MESSAGES = "/v1/messages"
COMPLETIONS = "/v1/chat/completions"
TEXTS = "/v1/completions"
Wanted = anthropic.MessagesRequest | openai.ChatRequest | openai_text.TextRequest


class Api(NamedTuple):
    """One way to ask for an answer."""

    request: type[Wanted]
    asked: Callable[[Any, ServingSettings, int], Asked]
    """What a request asks, with the seed for one that brings none."""
    whole: Callable[[Any, Turn, Sequence[Answer]], Body]
    """The answers at once."""
    events: Callable[[Any, Turn], AsyncGenerator[bytes, None]]
    """The answers as they come."""
    dialect: Dialect


def _has_usage(wanted: openai.ChatRequest | openai_text.TextRequest) -> bool:
    return bool(wanted.stream_options and wanted.stream_options.include_usage)


APIS: dict[str, Api] = {
    MESSAGES: Api(
        request=anthropic.MessagesRequest,
        asked=anthropic.asked,
        whole=lambda wanted, turn, answers: anthropic_answers.message(turn, answers[0]),
        events=lambda wanted, turn: anthropic_answers.events(turn),
        dialect=anthropic_answers.DIALECT,
    ),
    COMPLETIONS: Api(
        request=openai.ChatRequest,
        asked=openai.asked,
        whole=lambda wanted, turn, answers: openai_answers.completion(turn, answers),
        events=lambda wanted, turn: openai_answers.events(turn, _has_usage(wanted)),
        dialect=openai_answers.DIALECT,
    ),
    TEXTS: Api(
        request=openai_text.TextRequest,
        asked=openai_text.asked,
        whole=lambda wanted, turn, answers: openai_text.completion(turn, answers, has_echo=bool(wanted.echo)),
        events=lambda wanted, turn: openai_text.events(turn, _has_usage(wanted)),
        dialect=openai_answers.DIALECT,
    ),
}
