"""OpenAI's Chat Completions API, the way back: completions, chunks, errors and the list of models."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from sonneteer.chat import Answer, Chance, StopReason
from sonneteer.records import ToolCall
from sonneteer.serving.limits import Level
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.refusals import OVERLOADED, Refusal
from sonneteer.serving.turns import Turn
from sonneteer.serving.wire import Body, Dialect, as_json, new_id

FINISH_REASONS: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
ERROR_TYPES = {429: "rate_limit_exceeded"}
ERROR_CODES = {401: "invalid_api_key"}
DONE = b"data: [DONE]\n\n"


def completion(turn: Turn, answers: Sequence[Answer]) -> Body:
    """Whole answers."""
    choices = [
        {
            "index": index,
            "message": _message(answer),
            "finish_reason": FINISH_REASONS[answer.stop_reason],
            "logprobs": _log_probs(answer.chances) if turn.asked.choices[index].log_probs is not None else None,
        }
        for index, answer in enumerate(answers)
    ]
    return head("chat.completion", turn) | {"choices": choices, "usage": usage(answers)}


async def events(turn: Turn, has_usage: bool) -> AsyncGenerator[bytes, None]:
    """Answers as they come, one after the other."""
    begun = head("chat.completion.chunk", turn) | ({"usage": None} if has_usage else {})
    answers: list[Answer] = []
    for index, options in enumerate(turn.asked.choices):
        yield frame(begun | _choice(index, {"role": "assistant", "content": "", "refusal": None}))
        async with aclosing(turn.pieces(index)) as pieces:
            async for piece in pieces:
                if piece.text or piece.chances:
                    told = _log_probs(piece.chances) if options.log_probs is not None else None
                    yield frame(begun | _choice(index, {"content": piece.text}, log_probs=told))
                if piece.answer is not None:
                    answers.append(piece.answer)
                    for choice in _last_choices(index, piece.answer):
                        yield frame(begun | choice)
    if has_usage:
        yield frame(begun | {"choices": [], "usage": usage(answers)})
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
    kind = "server_error" if refusal.status >= 500 else ERROR_TYPES.get(refusal.status, "invalid_request_error")
    code = refusal.code or ERROR_CODES.get(refusal.status)
    message = refusal.message
    if code == "model_not_found":
        message = f"There is no such {message}. GET /v1/models lists what is served."
    return {"error": {"message": message, "type": kind, "param": refusal.field, "code": code}}


def frame(event: Body) -> bytes:
    """One event of a stream."""
    return b"data: %s\n\n" % as_json(event)


def limits(level: Level) -> dict[str, str]:
    """What a key has left of its minute, as headers."""
    told = {"limit": str(level.a_minute), "remaining": str(level.left), "reset": f"{level.seconds:.3f}s"}
    return {f"x-ratelimit-{name}-{level.what}": value for name, value in told.items()}


DIALECT = Dialect(error=error, frame=frame, ping=b": ping\n\n", statuses={OVERLOADED: 503}, limits=limits)


def head(kind: str, turn: Turn, prefix: str = "chatcmpl-") -> Body:
    """What every answer begins with."""
    return {
        "id": prefix + turn.id,
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


def _choice(index: int, delta: Body, finish_reason: str | None = None, log_probs: Body | None = None) -> Body:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": log_probs}]}


def _log_probs(chances: Sequence[Chance]) -> Body:
    told = [
        _token(chance.raw, chance.log_prob or 0.0)
        | {"top_logprobs": [_token(raw, log_prob) for raw, log_prob in chance.others]}
        for chance in chances
    ]
    return {"content": told, "refusal": None}


def _token(raw: bytes, log_prob: float) -> Body:
    return {"token": raw.decode(errors="replace"), "logprob": log_prob, "bytes": list(raw)}


def usage(answers: Sequence[Answer]) -> Body:
    """What was read and written."""
    prompt = max((answer.prompt_tokens for answer in answers), default=0)
    written = sum(answer.answer_tokens for answer in answers)
    cached = max((answer.cached_tokens for answer in answers), default=0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
