"""Anthropic's Messages API, the way back: messages, events, errors and the list of models."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from sonneteer.chat import Answer, StopReason
from sonneteer.records import ToolCall
from sonneteer.serving.limits import Level
from sonneteer.serving.lineup import Page, ServedModel
from sonneteer.serving.refusals import OVERLOADED, Refusal
from sonneteer.serving.turns import Turn
from sonneteer.serving.wire import Body, Dialect, as_json, new_id

STOP_REASONS: dict[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    500: "api_error",
    OVERLOADED: "overloaded_error",
}


def message(turn: Turn, answer: Answer) -> Body:
    """A whole answer."""
    texts = [{"type": "text", "text": answer.text}] if answer.text else []
    body = _message(turn, [*texts, *(_tool_use(call) for call in answer.tool_calls)])
    return body | _ending(answer) | {"usage": _usage_of(answer)}


async def events(turn: Turn) -> AsyncGenerator[bytes, None]:
    """An answer as it comes."""
    begun = _message(turn, []) | {"usage": _usage(turn.prompt_tokens, 0)}
    yield frame({"type": "message_start", "message": begun})
    yield PING
    blocks = 0
    async with aclosing(turn.pieces()) as pieces:
        async for piece in pieces:
            if piece.text and not blocks:
                blocks = 1
                yield _block_start(0, {"type": "text", "text": ""})
            if piece.text:
                yield _block_delta(0, {"type": "text_delta", "text": piece.text})
            if piece.answer is not None:
                for event in _last_events(piece.answer, blocks):
                    yield event


def _last_events(answer: Answer, blocks: int) -> Iterator[bytes]:
    if blocks:
        yield _block_stop(0)
    for index, call in enumerate(answer.tool_calls, blocks):
        use = _tool_use(call)
        yield _block_start(index, use | {"input": {}})
        yield _block_delta(index, {"type": "input_json_delta", "partial_json": ""})
        yield _block_delta(index, {"type": "input_json_delta", "partial_json": as_json(use["input"]).decode()})
        yield _block_stop(index)
    usage = _usage_of(answer)
    yield frame({"type": "message_delta", "delta": _ending(answer), "usage": usage})
    yield frame({"type": "message_stop"})


def models_page(page: Page, max_tokens: int) -> Body:
    """A part of the list of models."""
    return {
        "data": [model_entry(served, max_tokens) for served in page.models],
        "has_more": page.has_more,
        "first_id": page.models[0].name if page.models else None,
        "last_id": page.models[-1].name if page.models else None,
    }


def model_entry(served: ServedModel, max_tokens: int) -> Body:
    """One model in the list."""
    return {
        "type": "model",
        "id": served.name,
        "display_name": served.name,
        "created_at": served.created_at.isoformat(),
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": served.context,
        "max_tokens": max_tokens,
        "capabilities": None,
    }


def error(refusal: Refusal, request_id: str) -> Body:
    """An error's body."""
    kind = ERROR_TYPES.get(refusal.status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": request_id}


def frame(event: Body) -> bytes:
    """One event of a stream. Clients skip events without a name."""
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), as_json(event))


def limits(level: Level) -> dict[str, str]:
    """What a key has left of its minute, as headers."""
    full_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=math.ceil(level.seconds))
    name = f"anthropic-ratelimit-{level.what}"
    reset = full_at.isoformat().replace("+00:00", "Z")
    return {f"{name}-limit": str(level.a_minute), f"{name}-remaining": str(level.left), f"{name}-reset": reset}


PING = frame({"type": "ping"})
DIALECT = Dialect(error=error, frame=frame, ping=PING, statuses={}, limits=limits)


def _message(turn: Turn, content: list[Body]) -> Body:
    return {
        "id": f"msg_{turn.id}",
        "type": "message",
        "role": "assistant",
        "model": turn.name,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _ending(answer: Answer) -> Body:
    return {"stop_reason": STOP_REASONS[answer.stop_reason], "stop_sequence": answer.stop_sequence}


def _usage_of(answer: Answer) -> Body:
    # As in Anthropic's API: what came from the cache is no part of `input_tokens`.
    return _usage(answer.prompt_tokens - answer.cached_tokens, answer.answer_tokens, answer.cached_tokens)


def _usage(input_tokens: int, output_tokens: int, cached: int = 0) -> Body:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "service_tier": "standard",
    }


def _tool_use(call: ToolCall) -> dict[str, Any]:
    # A new id: models number the calls of one answer, but a conversation needs ids that stay apart.
    return {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": call.arguments}


def _block_start(index: int, block: Body) -> bytes:
    return frame({"type": "content_block_start", "index": index, "content_block": block})


def _block_delta(index: int, delta: Body) -> bytes:
    return frame({"type": "content_block_delta", "index": index, "delta": delta})


def _block_stop(index: int) -> bytes:
    return frame({"type": "content_block_stop", "index": index})
