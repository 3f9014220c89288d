"""Parts of the lists of batches and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import Field

from sonneteer.records import Batch, StoredFile
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.wire import Wire

T = TypeVar("T", Batch, StoredFile)


class MessagePage(Wire):
    """The part of a list that Anthropic's clients ask for."""

    limit: int = Field(20, ge=1, le=1000)
    after_id: str | None = None
    before_id: str | None = None


class BatchPage(Wire):
    """The part of the list of batches that OpenAI's clients ask for."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = None


class FilePage(Wire):
    """The part of the list of files that OpenAI's clients ask for."""

    limit: int = Field(10_000, ge=1, le=10_000)
    after: str | None = None
    order: str = Field("desc", pattern="^(asc|desc)$")
    purpose: str | None = None


def after(records: Sequence[T], id: str | None, limit: int) -> tuple[list[T], bool]:
    """So many records behind the one of this id, and whether there are more."""
    rest = records if id is None else records[place_of(records, id) + 1 :]
    return list(rest[:limit]), len(rest) > limit


def place_of(records: Sequence[T], id: str) -> int:
    """Where a record stands. Raises Refusal with status 404."""
    for place, record in enumerate(records):
        if record.id == id:
            return place
    raise Refusal(404, f"There is no '{id[:80]}' in this list.")
