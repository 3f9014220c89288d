"""Live traffic as a source: what people said of answers, once a reviewer approved it, becomes something to learn.

`traffic:NAME` means the exchanges under a model's name. A correction becomes the answer, and what the model had said
the rejected one; a thumb or stars say whether the answer was liked. What nobody reviewed is never learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sonneteer.data.files import SourceFile, kept_aside
from sonneteer.errors import DataError
from sonneteer.records import Exchange, Feedback
from sonneteer.records.rows import as_openai
from sonneteer.store import Store

PREFIX = "traffic:"
LIKED_STARS, DISLIKED_STARS = 4, 2


def from_traffic(path: str, store: Store) -> SourceFile:
    """The rows of `traffic:NAME`, as JSON lines. Raises DataError where there is nothing approved."""
    name = path.removeprefix(PREFIX)
    lines = [json.dumps(row, ensure_ascii=False) for row in _rows(store, name)]
    if not lines:
        raise DataError(
            f"{path}: no approved feedback says what to learn from the answers under '{name}'. Let a reviewer approve "
            "corrections, thumbs or stars first, or remove this source."
        )
    return kept_aside(path, (f"{line}\n".encode() for line in lines), kind=".jsonl")


def _rows(store: Store, name: str) -> Iterator[dict[str, Any]]:
    """A row for each exchange of which something approved was said; of several words the newest counts."""
    said = {one.exchange_id: one for one in store.traffic.feedback(name) if _teaches(one)}
    for exchange in store.traffic.exchanges(name):
        feedback = said.get(exchange.id)
        if feedback is not None and not exchange.problem and exchange.answer.text.strip():
            yield _row(exchange, feedback)


def _teaches(feedback: Feedback) -> bool:
    return feedback.opinion == "approved" and (feedback.correction is not None or _is_liked(feedback) is not None)


def _is_liked(feedback: Feedback) -> bool | None:
    if feedback.liked is not None or feedback.stars is None:
        return feedback.liked
    return True if feedback.stars >= LIKED_STARS else False if feedback.stars <= DISLIKED_STARS else None


def _row(exchange: Exchange, feedback: Feedback) -> dict[str, Any]:
    tags = {"conversation": exchange.conversation, "time": exchange.created_at.isoformat(), "model": exchange.model_id}
    row: dict[str, Any] = {
        "exchange": exchange.id,
        "prompt": [as_openai(message) for message in exchange.prompt.messages],
        "completion": exchange.answer.text,
        "tags": tags | ({"label": feedback.label} if feedback.label else {}),
    }
    row |= {"tools": list(exchange.prompt.tools)} if exchange.prompt.tools else {}
    if feedback.correction is not None and feedback.correction.strip() != exchange.answer.text.strip():
        return row | {"completion": feedback.correction, "rejected": exchange.answer.text}
    return row | {"label": True if feedback.correction is not None else _is_liked(feedback)}
