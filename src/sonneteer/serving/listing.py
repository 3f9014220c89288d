"""Parts of lists, as the clients of both APIs ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import Field

from sonneteer.serving.refusals import Refusal
from sonneteer.serving.wire import Wire

T = TypeVar("T")


class AnthropicPage(Wire):
    """The part of any list that Anthropic's clients ask for."""

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


def around(records: Sequence[T], ids: Sequence[str], wanted: AnthropicPage) -> tuple[list[T], bool]:
    """So many records behind one id or before another, and whether there are more. Raises Refusal with status 404."""
    if wanted.before_id is None:
        return after(records, ids, wanted.after_id, wanted.limit)
    before = records[: _place(ids, wanted.before_id)]
    return list(before[-wanted.limit :]), len(before) > wanted.limit


def after(records: Sequence[T], ids: Sequence[str], id: str | None, limit: int) -> tuple[list[T], bool]:
    """So many records behind the one of this id, and whether there are more. Raises Refusal with status 404."""
    rest = records if id is None else records[_place(ids, id) + 1 :]
    return list(rest[:limit]), len(rest) > limit


def _place(ids: Sequence[str], id: str) -> int:
    if id not in ids:
        raise Refusal(404, f"There is no '{id[:80]}' in this list.")
    return ids.index(id)
