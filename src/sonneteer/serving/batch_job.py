"""One batch's files: which of its requests are still to be asked, and the answers, a line each."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sonneteer.records import Batch
from sonneteer.serving import anthropic_batches, openai_batches
from sonneteer.serving.wire import Body, as_json
from sonneteer.store import Shelf

Outcome = Literal["succeeded", "errored", "canceled", "expired"]


class Item(NamedTuple):
    """One request of a batch."""

    custom_id: str
    body: bytes


class Result(NamedTuple):
    """What became of it."""

    custom_id: str
    outcome: Outcome
    status: int = 200
    body: Body | None = None


class Job:
    """A batch at work. What was answered is on the disk, so that whoever goes on with it asks nothing twice."""

    def __init__(self, shelf: Shelf, batch: Batch) -> None:
        self.batch = batch
        self.running = 0
        """Requests that are being answered."""
        self._results = shelf.path(batch.id, "results")
        self._answered: set[str] = set()
        self.counts: Counter[str] = Counter()
        for line in _whole_lines(self._results):
            self._answered.add(line["custom_id"])
            self.counts[outcome_of(line)] += 1
        self._waiting = _items(shelf.path(batch.id, "requests"), self._answered)
        self._again: list[Item] = []
        self._one_at_a_time = threading.Lock()

    def next(self) -> Item | None:
        """A request to answer; None if all are answered or being answered."""
        return self._again.pop() if self._again else next(self._waiting, None)

    def is_stopped(self, now: datetime) -> bool:
        """Whether nothing more of it is asked."""
        return self.batch.cancel_initiated_at is not None or now >= self.batch.expires_at

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is being answered, and nothing will be."""
        if self.running:
            return False
        return self.is_stopped(now) or self.counts.total() == self.batch.requests

    def put_back(self, item: Item) -> None:
        """It was not answered after all."""
        self._again.append(item)

    def write(self, result: Result) -> None:
        """Keep what became of a request, on the disk. Raises OSError."""
        self._write([result])

    def end(self, outcome: Outcome) -> None:
        """All that is left was canceled, or has expired."""
        rest: list[Result] = []
        while (item := self.next()) is not None:
            rest.append(Result(item.custom_id, outcome))
        self._write(rest)

    def _write(self, results: list[Result]) -> None:
        lines = [line_of(self.batch, result) for result in results]
        with self._one_at_a_time, os.fdopen(os.open(self._results, _APPENDING, 0o600), "ab") as stream:
            stream.writelines(lines)
            stream.flush()
            os.fsync(stream.fileno())
            self.counts.update(result.outcome for result in results)


_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def line_of(batch: Batch, result: Result) -> bytes:
    """A line of the results in the words of the batch's API."""
    if batch.api == "anthropic":
        told = anthropic_batches.result(result.custom_id, result.outcome, result.body)
    else:
        told = openai_batches.result(batch, result.custom_id, result.status, result.outcome, result.body)
    return as_json(told) + b"\n"


def outcome_of(line: dict[str, Any]) -> Outcome:
    """What a line of the results tells."""
    if "result" in line:
        told: Outcome = line["result"]["type"]
        return told
    if line["response"] is None:
        return "canceled" if line["error"]["code"] == "batch_cancelled" else "expired"
    return "succeeded" if line["response"]["status_code"] == 200 else "errored"


def _items(path: Path, answered: set[str]) -> Iterator[Item]:
    with open(path, "rb") as stream:
        for raw in stream:
            if raw.strip():
                line = json.loads(raw)
                if line["custom_id"] not in answered:
                    yield Item(line["custom_id"], as_json(line["params"] if "params" in line else line["body"]))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are there; half of one, which a crash has left, is cut off."""
    if not path.exists():
        return
    with open(path, "rb+") as stream:
        end = 0
        for raw in stream:
            if not raw.endswith(b"\n"):
                stream.truncate(end)
                return
            end += len(raw)
            yield json.loads(raw)
