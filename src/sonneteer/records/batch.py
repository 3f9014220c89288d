"""What clients leave with a server: batches of requests that are answered later, and files."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sonneteer.records.record import Record


class StoredFile(Record):
    """A file that a client sent, or that holds a batch's answers."""

    id: str
    name: str
    """What the client calls it."""
    owner: str
    """Name of the key that it belongs to; empty where the server needs none."""
    purpose: str
    size: int
    """In bytes."""
    created_at: datetime
    expires_at: datetime | None = None


class LineProblem(Record):
    """Why a line of a batch's file cannot be asked."""

    line: int
    code: str
    message: str
    field: str | None = None


class Batch(Record):
    """Many requests that are answered when nobody else is waiting."""

    id: str
    name: str
    """The model that the server was started with which answers it."""
    owner: str
    """Name of the key that it belongs to; empty where the server needs none."""
    api: Literal["anthropic", "openai"]
    path: str
    """Where each of its requests would be sent by itself."""
    size: int
    """Of its requests, in bytes."""
    requests: int
    created_at: datetime
    expires_at: datetime
    """What is not answered by then never will be."""
    cancel_initiated_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    """When its results were deleted."""
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    problems: tuple[LineProblem, ...] = ()
    """Why none of it is asked."""
    metadata: dict[str, str] = Field(default_factory=dict)
    is_recordable: bool = True
    """Whether the exchanges may be written down."""
