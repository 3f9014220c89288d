"""The files with a batch's answers and errors, as OpenAI's API gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sonneteer.records import Batch, StoredFile
from sonneteer.serving.batch_job import outcome_of
from sonneteer.serving.wire import new_id
from sonneteer.store import Shelf, write_private


def output_files(shelf: Shelf, batch: Batch) -> dict[str, str | None]:
    """Split the results; returns the files' ids by the batch's fields. A file that would be empty is not made."""
    results = shelf.path(batch.id, "results")
    return {
        "output_file_id": _file(shelf, batch, f"{batch.id}_output.jsonl", _lines(results, is_good=True)),
        "error_file_id": _file(shelf, batch, f"{batch.id}_error.jsonl", _lines(results, is_good=False)),
    }


def _lines(results: Path, is_good: bool) -> Iterator[bytes]:
    with open(results, "rb") as stream:
        for raw in stream:
            if (outcome_of(json.loads(raw)) == "succeeded") == is_good:
                yield raw


def _file(shelf: Shelf, batch: Batch, name: str, lines: Iterator[bytes]) -> str | None:
    id = new_id("file-")
    path = shelf.path(id)
    write_private(path, lines)
    size = path.stat().st_size
    if not size:
        path.unlink()
        return None
    now = datetime.now(UTC)
    shelf.save(StoredFile(id=id, name=name, owner=batch.owner, purpose="batch_output", size=size, created_at=now))
    return id
