"""What all ways of asking have in common: key, address, turns, and what the replies mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from sonneteer.chat import Answer, Piece, StopReason
from sonneteer.errors import BusyError, RecipeError, RefusalError, RequestError
from sonneteer.recipe.sections import ExternalSettings
from sonneteer.records import Message, Prompt, ToolCall

UNSUITED = (400, 413, 422)
BUSY = (429, 503, 529)
STOPS: dict[str, StopReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "content_filter": "refusal",
    "refusal": "refusal",
    "tool_calls": "tool_use",
    "tool_use": "tool_use",
}


def key_of(settings: ExternalSettings) -> str:
    """The key from the environment; empty where none is needed. Raises RecipeError where it is not set."""
    key = os.environ.get(settings.key_variable, "") if settings.key_variable else ""
    if settings.key_variable and not key:
        raise RecipeError(
            f"'{settings.name}' needs its key in the environment variable {settings.key_variable}, which is not set."
        )
    return key


def address_of(settings: ExternalSettings) -> str:
    """The server, whether its URL was given with the API's version or without."""
    return settings.url.rstrip("/").removesuffix("/v1")


def anthropic_turns(prompt: Prompt) -> dict[str, Any]:
    """The conversation as Anthropic's API takes it: what the system says stands apart, what tools say is the user's."""
    system = "\n\n".join(message.text for message in prompt.messages if message.role == "system")
    said = ((_side(message), _blocks(message)) for message in prompt.messages if message.role != "system")
    turns = [
        {"role": role, "content": [block for _, blocks in group for block in blocks]}
        for role, group in groupby(said, key=itemgetter(0))
    ]
    tools = [_anthropic_tool(tool.get("function", tool)) for tool in prompt.tools]
    return {"messages": turns} | ({"system": system} if system else {}) | ({"tools": tools} if tools else {})


def _side(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": message.text}]
    calls = [{"type": "tool_use", "id": one.id, "name": one.name, "input": one.arguments} for one in message.tool_calls]
    return ([{"type": "text", "text": message.text}] if message.text or not calls else []) + calls


def _anthropic_tool(function: dict[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object"}
    return {"name": function["name"], "description": function.get("description") or "", "input_schema": schema}


def anthropic_answer(told: dict[str, Any]) -> Answer:
    """The message of Anthropic's API. Raises what comes of one that is none."""
    usage = told.get("usage") or {}
    calls = [part for part in told["content"] if part.get("type") == "tool_use"]
    return Answer(
        text="".join(part.get("text", "") for part in told["content"] if part.get("type") == "text"),
        tool_calls=tuple(ToolCall(id=call["id"], name=call["name"], arguments=call["input"]) for call in calls),
        stop_reason=STOPS.get(told.get("stop_reason") or "", "end"),
        prompt_tokens=usage.get("input_tokens", 0),
        answer_tokens=usage.get("output_tokens", 0),
    )


def in_one_piece(answer: Answer) -> Iterator[Piece]:
    """A whole answer as a stream."""
    yield Piece(answer.text)
    yield Piece("", answer)


def refused(said: str, status: int, settings: ExternalSettings) -> Exception:
    """What a refusal means, and what to do about it. BusyError and RefusalError are told from all others."""
    if status in BUSY:
        return BusyError(f"{said} Wait, and give the same command again: it goes on.")
    if status in UNSUITED:
        return RefusalError(
            f"{said} The server does not take this question for '{settings.model}': where it is too long, name a model "
            "with a longer context or lower the longest answer; else check `api` and `model` in the recipe."
        )
    variable = settings.key_variable
    if status in (401, 403):
        todo = f"Check the key in the environment variable {variable}" if variable else "Name the key's variable"
        return RequestError(f"{said} {todo} (`key_variable` in the recipe).")
    if status == 404:
        return RequestError(f"{said} Check `url` and `model` ('{settings.model}') in the recipe.")
    return RequestError(f"{said} Check the server's own log, and `url` in the recipe.")
