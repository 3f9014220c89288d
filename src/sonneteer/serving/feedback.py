"""What people say of an answer, by the id of its message: checked, masked, and kept beside the exchange."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import Field, model_validator

from sonneteer.privacy import Guard
from sonneteer.records import Example, Exchange, Feedback, Message
from sonneteer.serving.traffic import exchange_id
from sonneteer.serving.wire import Body, Wire

LONGEST = 100_000  # characters
WORDS = ("correction", "label", "comment")


class FeedbackRequest(Wire):
    """The body of POST /v1/feedback: the message, and at least one thing that is said of it."""

    message_id: str = Field(min_length=1, max_length=200)
    """The `id` of the message or completion that the client got."""
    liked: bool | None = None
    stars: int | None = Field(None, ge=1, le=5)
    correction: str | None = Field(None, min_length=1, max_length=LONGEST)
    label: str | None = Field(None, min_length=1, max_length=100)
    comment: str | None = Field(None, max_length=LONGEST)

    @model_validator(mode="after")
    def _says_something(self) -> FeedbackRequest:
        if not self.said():
            raise ValueError("say at least one of liked, stars, correction, label and comment")
        return self

    def said(self) -> dict[str, Any]:
        """What is said of the message."""
        return {name: value for name, value in self if name != "message_id" and value not in (None, "")}


class Ledger(Protocol):
    """Where feedback is kept: the catalogue's `traffic`."""

    def exchange(self, id: str) -> Exchange:
        """The exchange of this id. Raises MissingError."""
        ...

    def say(self, feedback: Feedback) -> None:
        """Keep what was said of it."""
        ...


def give(ledger: Ledger, guard: Guard, request: FeedbackRequest, key: str = "") -> Feedback:
    """Keep what is said, without personal data, and by which key. Raises MissingError for an unknown message."""
    exchange = ledger.exchange(exchange_id(request.message_id))
    said = request.said()
    words = [name for name in WORDS if name in said]
    said |= zip(words, _masked(guard, [said[name] for name in words]), strict=True)
    feedback = Feedback(
        id=secrets.token_hex(12),
        exchange_id=exchange.id,
        name=exchange.name,
        created_at=datetime.now(UTC),
        key=key,
        **said,
    )
    ledger.say(feedback)
    return feedback


def reply_to(feedback: Feedback) -> Body:
    """What the client gets for it."""
    return {"type": "feedback", "id": f"fb_{feedback.id}", "created_at": feedback.created_at.isoformat()}


def _masked(guard: Guard, texts: list[str]) -> list[str]:
    if not texts:
        return []
    whole = Example(messages=tuple(Message(role="assistant", text=text) for text in texts))
    return [message.text for message in guard.protect(whole).example.messages]
