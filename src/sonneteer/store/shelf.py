"""What clients leave with a server: rows of the catalogue, and their contents in a folder that nobody else reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sql

from sonneteer.errors import MissingError
from sonneteer.records import Batch, StoredFile
from sonneteer.store.disk import refusals

T = TypeVar("T", Batch, StoredFile)
COLUMNS = ("id", "name", "created_at", "owner")
TABLES = {
    Batch: sql.table("batches", *(sql.column(column) for column in (*COLUMNS, "state", "body"))),
    StoredFile: sql.table("files", *(sql.column(column) for column in (*COLUMNS, "purpose", "body"))),
}
Connect = Callable[[], AbstractContextManager[sql.Connection]]
Writing = Callable[[str, float], AbstractContextManager[None]]


class Shelf:
    """Batches and files, each with an owner."""

    def __init__(self, connect: Connect, folder: Path, writing: Writing) -> None:
        self._connect = connect
        self._folder = folder
        self.writing = writing
        """One writer at a time, as the workspace's."""

    def save(self, record: Batch | StoredFile) -> None:
        """Insert a record, or replace the one with its id."""
        table = TABLES[type(record)]
        with self._connect() as connection:
            connection.execute(sql.delete(table).where(table.c.id == record.id))
            connection.execute(sql.insert(table), _row(record))

    def change(self, id: str, change: Callable[[Batch], Batch]) -> Batch:
        """A batch with what others have written of it meanwhile, changed. Raises MissingError."""
        with self.writing("batches", 60):
            changed = change(self.get(Batch, id))
            self.save(changed)
        return changed

    def get(self, kind: type[T], id: str, owner: str | None = None) -> T:
        """The record of this id, if it is this owner's; None is everybody's. Raises MissingError."""
        found = [record for record in self.find(kind, id=id) if owner in (None, record.owner)]
        if not found:
            raise MissingError(f"There is no {'batch' if kind is Batch else 'file'} '{id[:80]}'.")
        return found[0]

    def find(self, kind: type[T], **columns: str) -> list[T]:
        """Records whose columns have these values, newest first."""
        table = TABLES[kind]
        query = sql.select(table.c.body).where(*(table.c[name] == value for name, value in columns.items()))
        with self._connect() as connection:
            bodies = connection.execute(query.order_by(table.c.created_at.desc(), table.c.id.desc())).scalars().all()
        return [kind.model_validate(json.loads(body)) for body in bodies]

    def delete(self, record: Batch | StoredFile) -> None:
        """Forget a record and its contents."""
        table = TABLES[type(record)]
        with self._connect() as connection:
            connection.execute(sql.delete(table).where(table.c.id == record.id))
        self.drop_contents(record)

    def size_of(self, owner: str) -> int:
        """Bytes of all that an owner has left here."""
        batches = [batch for batch in self.find(Batch, owner=owner) if batch.archived_at is None]
        files = self.find(StoredFile, owner=owner)
        return sum(batch.size for batch in batches) + sum(file.size for file in files)

    def forget(self, now: datetime, keep: timedelta) -> None:
        """Delete files that have expired, and the results of batches that ended so long ago."""
        for file in self.find(StoredFile):
            if file.expires_at is not None and file.expires_at <= now:
                self.delete(file)
        for batch in self.find(Batch, state="ended"):
            if batch.archived_at is None and batch.ended_at is not None and batch.ended_at + keep <= now:
                self.save(batch.model_copy(update={"archived_at": now}))
                self.drop_contents(batch)

    # Contents -----------------------------------------------------------------------------------

    def path(self, id: str, part: str = "content") -> Path:
        """Where a record's contents lie: a file's own, or a batch's `requests` and `results`."""
        with refusals(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / f"{id}.{part}"

    def drop_contents(self, record: Batch | StoredFile, kept: tuple[str, ...] = ()) -> None:
        """Delete the contents, but for the parts that are kept, and keep the row."""
        for part in ("content", "requests", "results"):
            if part not in kept:
                self.path(record.id, part).unlink(missing_ok=True)


def write_private(path: Path, content: Iterable[bytes]) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with refusals(path):
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.writelines(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _row(record: Batch | StoredFile) -> dict[str, str]:
    own = {"purpose": record.purpose} if isinstance(record, StoredFile) else {"state": _state(record)}
    created = record.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    common = {"id": record.id, "name": record.name, "created_at": created, "owner": record.owner}
    return {**common, **own, "body": json.dumps(record.model_dump(mode="json"))}


def _state(batch: Batch) -> str:
    return "open" if batch.ended_at is None else "ended"
