"""What both dialects share: JSON in and out, strict about types, and what a dialect is."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sonneteer.serving.limits import Level
from sonneteer.serving.refusals import Refusal

Body = dict[str, Any]
MOST_BYTES = 32 * 1024 * 1024  # as Anthropic's API
BODY_SECONDS = 60.0
"""How long a client may take to send a request; longer where more may be sent."""
COMPACT = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
MOST_PROBLEMS, MOST_CHARACTERS = 5, 300  # of an error message


class Wire(BaseModel):
    """A part of a request. Fields of newer clients are ignored; a known field of another type is an error."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


W = TypeVar("W", bound=Wire)


class Dialect(NamedTuple):
    """How one API speaks beyond its answers."""

    error: Callable[[Refusal, str], Body]
    """An error's body, from the refusal and the request's id."""
    frame: Callable[[Body], bytes]
    """One event of a stream."""
    ping: bytes
    """Keeps a silent stream open."""
    statuses: Mapping[int, int]
    """HTTP statuses that this API calls by another number."""
    limits: Callable[[Level], dict[str, str]]
    """Headers that tell what a key has left of its minute."""


async def read(request: Request, kind: type[W], most_bytes: int = MOST_BYTES) -> W:
    """The request's body as a record. Raises Refusal: 413 for too much of it, 400 with a path for what is wrong."""
    return parsed(await _body(request, most_bytes), kind)


def parsed(body: bytes, kind: type[W]) -> W:
    """A body as a record. Raises Refusal with status 400 and a path for what is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as problem:
        raise _refusal(problem) from None


def read_query(request: Request, kind: type[W]) -> W:
    """The part of the URL after the question mark as a record. Raises Refusal with status 400."""
    try:
        return kind.model_validate_strings(dict(request.query_params))
    except ValidationError as problem:
        raise _refusal(problem) from None


async def _body(request: Request, most_bytes: int) -> bytes:
    seconds = BODY_SECONDS * most_bytes / MOST_BYTES
    try:
        async with asyncio.timeout(seconds):
            return await _whole_body(request, most_bytes)
    except TimeoutError:
        raise Refusal(408, f"The request's body did not arrive within {seconds:.0f} seconds.") from None


async def _whole_body(request: Request, most_bytes: int) -> bytes:
    parts, size = [], 0
    told = request.headers.get("content-length", "")
    is_kept = not told.isdecimal() or int(told) <= most_bytes
    async for part in request.stream():
        size += len(part)
        # What is too much is read on for a while, and dropped: many clients hear no answer before they have sent all.
        if size > most_bytes + 3 * MOST_BYTES:
            break
        if is_kept and size <= most_bytes:
            parts.append(part)
    if size > most_bytes:
        raise too_large(most_bytes)
    return b"".join(parts)


def too_large(most_bytes: int) -> Refusal:
    """What to say of a request of more bytes than that."""
    return Refusal(413, f"The request is larger than {most_bytes // 1024**2} MB.")


def _refusal(problem: ValidationError) -> Refusal:
    problems = problem.errors(include_url=False, include_context=False, include_input=False)
    paths = [".".join(str(step) for step in each["loc"]) for each in problems]
    texts = [each["msg"].removeprefix("Value error, ")[:MOST_CHARACTERS] for each in problems]
    lines = [f"{path}: {text}" if path else text for path, text in zip(paths, texts, strict=True)]
    more = f" (and {len(lines) - MOST_PROBLEMS} more problems)" if len(lines) > MOST_PROBLEMS else ""
    return Refusal(400, "; ".join(lines[:MOST_PROBLEMS]) + more, field=paths[0] or None)


def as_json(body: Body) -> bytes:
    """Pure ASCII: some clients take the line separators of Unicode for the end of an event."""
    return COMPACT.encode(body).encode("ascii")


def reply(body: Body, status: int = 200) -> Response:
    """A whole answer."""
    return Response(as_json(body), status, media_type="application/json")


def error_reply(refusal: Refusal, dialect: Dialect, request_id: str) -> Response:
    """A refusal in the caller's dialect."""
    response = reply(dialect.error(refusal, request_id), dialect.statuses.get(refusal.status, refusal.status))
    if refusal.retry_after is not None:
        response.headers["retry-after"] = str(refusal.retry_after)
    return response


def new_id(prefix: str) -> str:
    """A name that nothing else has."""
    return prefix + secrets.token_hex(12)
