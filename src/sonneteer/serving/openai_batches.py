"""OpenAI's Files and Batch APIs: what their requests say, and what they tell of files and batches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from sonneteer.records import Batch, LineProblem, StoredFile, fingerprint_of
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.wire import Body, Wire, parsed

MOST_REQUESTS = 50_000
MOST_PROBLEMS = 20
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
Metadata = dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]]


class BatchRequest(Wire):
    """The body of POST /v1/batches."""

    input_file_id: str
    endpoint: Literal["/v1/chat/completions", "/v1/completions"]
    completion_window: Literal["24h"]
    metadata: Annotated[Metadata, Field(max_length=16)] | None = None


class BatchLine(Wire):
    """One line of a batch's file."""

    custom_id: str = Field(min_length=1, max_length=512)
    method: Literal["POST"]
    url: Literal["/v1/chat/completions", "/v1/completions"]
    body: dict[str, Any]


def problem_of(raw: bytes, number: int, path: str, ids: set[str]) -> LineProblem | None:
    """Why a line cannot be asked, if it cannot. Adds its name to those that there are."""
    try:
        line = parsed(raw, BatchLine)
    except Refusal as refusal:
        is_json = "Invalid JSON" not in refusal.message
        code = "invalid_request" if is_json else "invalid_json_line"
        return LineProblem(line=number, code=code, message=refusal.message, field=refusal.field)
    if line.url != path:
        text = f"url: the batch is for {path}, not {line.url}"
        return LineProblem(line=number, code="mismatched_endpoint", message=text, field="url")
    if line.custom_id in ids:
        text = f"custom_id: '{line.custom_id}' stands in the file twice"
        return LineProblem(line=number, code="duplicate_custom_id", message=text, field="custom_id")
    ids.add(line.custom_id)
    return None


def file(told: StoredFile) -> Body:
    """What is told of a file."""
    return {
        "id": told.id,
        "object": "file",
        "bytes": told.size,
        "created_at": _moment(told.created_at),
        "expires_at": _moment(told.expires_at),
        "filename": told.name,
        "purpose": told.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch(told: Batch) -> Body:
    """What is told of a batch."""
    status = _status(told)
    ended = _moment(told.ended_at)
    problems = [
        {"code": each.code, "line": each.line, "message": each.message, "param": each.field} for each in told.problems
    ]
    return {
        "id": told.id,
        "object": "batch",
        "endpoint": told.path,
        "errors": {"object": "list", "data": problems} if problems else None,
        "input_file_id": told.input_file_id,
        "completion_window": "24h",
        "status": status,
        "output_file_id": told.output_file_id,
        "error_file_id": told.error_file_id,
        "created_at": _moment(told.created_at),
        "in_progress_at": _moment(told.created_at),
        "expires_at": _moment(told.expires_at),
        "finalizing_at": ended if status == "completed" else None,
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": _moment(told.cancel_initiated_at),
        "cancelled_at": ended if status == "cancelled" else None,
        "request_counts": {"total": told.requests, "completed": told.succeeded, "failed": told.errored},
        "metadata": told.metadata or None,
    }


def page(entries: list[Body], has_more: bool) -> Body:
    """A part of a list."""
    first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
    return {"object": "list", "data": entries, "has_more": has_more, "first_id": first, "last_id": last}


def result(told: Batch, custom_id: str, status: int, outcome: str, body: Body | None) -> Body:
    """One line of the output or of the errors; without a body it was not answered in time."""
    line: Body = {"id": f"batch_req_{fingerprint_of([told.id, custom_id])}", "custom_id": custom_id}
    if body is None:
        code = "batch_cancelled" if outcome == "canceled" else "batch_expired"
        error = {"code": code, "message": "The batch ended before it was this request's turn."}
        return line | {"response": None, "error": error}
    response = {"status_code": status, "request_id": line["id"].replace("batch_", ""), "body": body}
    return line | {"response": response, "error": None}


def _status(told: Batch) -> str:
    if told.ended_at is None:
        return "in_progress" if told.cancel_initiated_at is None else "cancelling"
    if told.problems:
        return "failed"
    if told.cancel_initiated_at is not None:
        return "cancelled"
    return "expired" if told.expired else "completed"


def _moment(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
