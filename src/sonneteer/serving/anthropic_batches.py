"""Anthropic's Message Batches API: what its requests say, and what it tells of a batch."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, field_validator

from sonneteer.records import Batch
from sonneteer.serving.wire import Body, Wire

MOST_REQUESTS = 100_000
OUTCOMES = ("succeeded", "errored", "canceled", "expired")
CustomId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class OneRequest(Wire):
    """One of a batch's requests. Its `params` are looked at when it is its turn, as in Anthropic's API."""

    custom_id: CustomId
    params: dict[str, Any]


class BatchRequest(Wire):
    """The body of POST /v1/messages/batches."""

    requests: list[OneRequest] = Field(min_length=1, max_length=MOST_REQUESTS)

    @field_validator("requests")
    @classmethod
    def _are_distinct(cls, value: list[OneRequest]) -> list[OneRequest]:
        ids: set[str] = set()
        for index, request in enumerate(value):
            if request.custom_id in ids:
                raise ValueError(f"{index}.custom_id: '{request.custom_id}' stands here twice")
            ids.add(request.custom_id)
        return value


def batch(told: Batch) -> Body:
    """What is told of a batch."""
    # As in Anthropic's API, all of them are being processed until the whole batch has ended.
    counts = {kind: getattr(told, kind) if told.ended_at else 0 for kind in OUTCOMES}
    has_results = told.ended_at is not None and told.archived_at is None
    return {
        "id": told.id,
        "type": "message_batch",
        "processing_status": _status(told),
        "request_counts": {"processing": told.requests - sum(counts.values()), **counts},
        "created_at": told.created_at.isoformat(),
        "expires_at": told.expires_at.isoformat(),
        "ended_at": _moment(told.ended_at),
        "cancel_initiated_at": _moment(told.cancel_initiated_at),
        "archived_at": _moment(told.archived_at),
        "results_url": f"/v1/messages/batches/{told.id}/results" if has_results else None,
    }


def deleted(told: Batch) -> Body:
    """What is told of a batch that is no more."""
    return {"id": told.id, "type": "message_batch_deleted"}


def result(custom_id: str, kind: str, body: Body | None) -> Body:
    """One line of the results: `succeeded` with a message, `errored` with an error, `canceled` or `expired`."""
    told: Body = {"type": kind}
    if body is not None:
        told["message" if kind == "succeeded" else "error"] = body
    return {"custom_id": custom_id, "result": told}


def _status(told: Batch) -> str:
    if told.ended_at is not None:
        return "ended"
    return "in_progress" if told.cancel_initiated_at is None else "canceling"


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
