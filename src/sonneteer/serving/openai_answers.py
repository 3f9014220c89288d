"""OpenAI's Chat Completions API, the way back: completions, chunks, errors and the list of models."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from sonneteer.chat import Answer, StopReason
from sonneteer.records import ToolCall
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.refusals import OVERLOADED, Refusal
from sonneteer.serving.turns import Turn
from sonneteer.serving.wire import Body, Dialect, as_json, new_id

FINISH_REASONS: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
}
ERROR_CODES = {401: "invalid_api_key"}
DONE = b"data: [DONE]\n\n"


def completion(turn: Turn, answers: Sequence[Answer]) -> Body:
    """Whole answers."""
    choices = [
        {
            "index": index,
            "message": _message(answer),
            "finish_reason": FINISH_REASONS[answer.stop_reason],
            "logprobs": None,
        }
        for index, answer in enumerate(answers)
    ]
    return _head("chat.completion", turn) | {"choices": choices, "usage": _usage(answers)}


async def events(turn: Turn, has_usage: bool) -> AsyncGenerator[bytes, None]:
    """Answers as they come, one after the other."""
    head = _head("chat.completion.chunk", turn) | ({"usage": None} if has_usage else {})
    answers: list[Answer] = []
    for index, options in enumerate(turn.asked.choices):
        yield frame(head | _choice(index, {"role": "assistant", "content": "", "refusal": None}))
        async with aclosing(turn.pieces(options)) as pieces:
            async for piece in pieces:
                if piece.text:
                    yield frame(head | _choice(index, {"content": piece.text}))
                if piece.answer is not None:
                    answers.append(piece.answer)
                    for choice in _last_choices(index, piece.answer):
                        yield frame(head | choice)
    if has_usage:
        yield frame(head | {"choices": [], "usage": _usage(answers)})
    yield DONE


def _last_choices(index: int, answer: Answer) -> Iterator[Body]:
    for number, call in enumerate(answer.tool_calls):
        told = _call(call)
        begun = told | {"index": number, "function": told["function"] | {"arguments": ""}}
        yield _choice(index, {"tool_calls": [begun]})
        rest = {"index": number, "function": {"arguments": told["function"]["arguments"]}}
        yield _choice(index, {"tool_calls": [rest]})
    yield _choice(index, {}, FINISH_REASONS[answer.stop_reason])


def models_page(models: Sequence[ServedModel]) -> Body:
    """The list of models."""
    return {"object": "list", "data": [model_entry(served) for served in models]}


def model_entry(served: ServedModel) -> Body:
    """One model in the list."""
    created = int(served.created_at.timestamp())
    return {"id": served.name, "object": "model", "created": created, "owned_by": "sonneteer"}


def error(refusal: Refusal, _: str) -> Body:
    """An error's body. The request's id stands in a header."""
    kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
    code = refusal.code or ERROR_CODES.get(refusal.status)
    message = refusal.message
    if code == "model_not_found":
        message = f"There is no such {message}. GET /v1/models lists what is served."
    return {"error": {"message": message, "type": kind, "param": refusal.field, "code": code}}


def frame(event: Body) -> bytes:
    """One event of a stream."""
    return b"data: %s\n\n" % as_json(event)


DIALECT = Dialect(error=error, frame=frame, ping=b": ping\n\n", statuses={OVERLOADED: 503})


def _head(kind: str, turn: Turn) -> Body:
    return {
        "id": f"chatcmpl-{turn.id}",
        "object": kind,
        "created": int(time.time()),
        "model": turn.name,
        "system_fingerprint": None,
    }


def _message(answer: Answer) -> Body:
    calls = [_call(call) for call in answer.tool_calls]
    message: Body = {"role": "assistant", "content": answer.text, "refusal": None}
    if calls:
        message |= {"content": answer.text or None, "tool_calls": calls}
    return message


def _call(call: ToolCall) -> Body:
    # A new id: models number the calls of one answer, but a conversation needs ids that stay apart.
    function = {"name": call.name, "arguments": as_json(call.arguments).decode()}
    return {"id": new_id("call_"), "type": "function", "function": function}


def _choice(index: int, delta: Body, finish_reason: str | None = None) -> Body:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": None}]}


def _usage(answers: Sequence[Answer]) -> Body:
    prompt = max((answer.prompt_tokens for answer in answers), default=0)
    written = sum(answer.answer_tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
