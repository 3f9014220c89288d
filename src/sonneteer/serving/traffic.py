"""What the server sees of each request: which conversation it belongs to, and how its answer went."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from sonneteer.chat import Answer, Piece
from sonneteer.records import Exchange, Message, Prompt, fingerprint_of
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.refusals import Refusal

CONVERSATION, RECORD = "x-sonneteer-conversation", "x-sonneteer-record"
"""Headers: the conversation's name, where the client knows one; and `no` for a request that is not written down."""


class Visit(NamedTuple):
    """A request and the conversation that it is a turn of."""

    id: str
    """What its answer is called, behind the prefix of the API."""
    conversation: str
    is_recordable: bool
    at: datetime
    begun: float
    """The same moment on the clock that only goes forward."""
    traceparent: str
    """The client's own span, if it told of one."""


def visit_of(headers: Mapping[str, str], prompt: Prompt) -> Visit:
    """The request's visit. Without a header, what stands before the first answer names the conversation."""
    name = headers.get(CONVERSATION)
    return Visit(
        id=secrets.token_hex(12),
        conversation=fingerprint_of(name if name else _beginning(prompt)),
        is_recordable=is_recordable(headers),
        at=datetime.now(UTC),
        begun=time.monotonic(),
        traceparent=headers.get("traceparent", ""),
    )


def is_recordable(headers: Mapping[str, str]) -> bool:
    """Whether the client lets the exchange be written down."""
    return headers.get(RECORD, "").strip().lower() != "no"


def _beginning(prompt: Prompt) -> list[list[str]]:
    told: list[list[str]] = []
    for message in prompt.messages:
        if message.role == "assistant":
            break
        told.append([message.role, message.text])
    return told


class Observer(Protocol):
    """Who is told what happens to the answers."""

    def waiting(self, name: str) -> None:
        """A request waits for its answer to begin."""
        ...

    def begun(self, name: str) -> None:
        """Its answer has begun."""
        ...

    def over(self, name: str, has_begun: bool) -> None:
        """It has ended, one way or another."""
        ...

    async def told(self, exchange: Exchange, visit: Visit) -> None:
        """An answer is whole, or has failed. The client hears of its end after this."""
        ...


class Witness:
    """Watches the answers to one request come, and tells of each when it is whole or has failed."""

    def __init__(self, visit: Visit, served: ServedModel, prompt: Prompt, observer: Observer) -> None:
        self.id = visit.id
        self._visit = visit
        self._served = served
        self._prompt = prompt
        self._observer = observer
        self._answers = 0

    async def watch(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """The same pieces. A client that hangs up leaves nothing to tell."""
        first: float | None = None
        name = self._served.name
        self._observer.waiting(name)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if first is None and (piece.text or piece.answer):
                        first = time.monotonic() - self._visit.begun
                        self._observer.begun(name)
                    if piece.answer is not None:
                        await self._note(piece.answer, first, "")
                    yield piece
        except Refusal:  # no failure of the model
            raise
        except Exception as problem:
            await self._note(None, first, type(problem).__name__)
            raise
        finally:
            self._observer.over(name, has_begun=first is not None)

    async def _note(self, answer: Answer | None, first: float | None, problem: str) -> None:
        said = Message(role="assistant") if answer is None else _message(answer)
        number, self._answers = self._answers, self._answers + 1
        exchange = Exchange(
            id=f"{self._visit.id}-{number}" if number else self._visit.id,
            name=self._served.name,
            model_id=self._served.model_id or self._served.name,
            arm=self._served.arm,
            conversation=self._visit.conversation,
            created_at=self._visit.at,
            prompt=self._prompt,
            answer=said,
            stop_reason="" if answer is None else answer.stop_reason,
            prompt_tokens=0 if answer is None else answer.prompt_tokens,
            answer_tokens=0 if answer is None else answer.answer_tokens,
            seconds=time.monotonic() - self._visit.begun,
            first_token_seconds=first,
            confidence=None if answer is None else answer.confidence,
            problem=problem,
        )
        await self._observer.told(exchange, self._visit)


def _message(answer: Answer) -> Message:
    return Message(role="assistant", text=answer.text, tool_calls=answer.tool_calls)


def exchange_id(message_id: str) -> str:
    """The exchange that a message's id stands for, in whichever API the client got it."""
    for prefix in ("msg_", "chatcmpl-", "cmpl-"):
        message_id = message_id.removeprefix(prefix)
    return message_id
