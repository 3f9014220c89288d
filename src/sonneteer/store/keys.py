"""API keys in the catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path

import sqlalchemy as sql

from sonneteer.errors import DataError, MissingError, RequestError
from sonneteer.records import Key

TABLE = sql.table("keys", sql.column("name"), sql.column("created_at"), sql.column("body"))


class KeyRing:
    """The keys of a workspace. The audit log tells of each that is added or revoked."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[sql.Connection]],
        writing: Callable[[str, float], AbstractContextManager[None]],
        note_deed: Callable[[str, str, str], None],
    ) -> None:
        self._connect = connect
        self._writing = writing
        self._note_deed = note_deed

    def adopt(self, path: Path) -> None:
        """Take over the keys of the file in which they once stood. Raises DataError for one that is damaged."""
        if not path.exists():
            return
        try:
            keys = [Key.model_validate(each) for each in json.loads(path.read_bytes())["keys"]]
        except (ValueError, KeyError, TypeError) as problem:
            raise DataError(
                f"The file of API keys {path} is damaged. Restore it from a backup, or delete it and create new keys."
            ) from problem
        known = {key.name for key in self.all()}
        for key in keys:
            if key.name not in known:
                self.add(key)
        path.rename(path.with_name(f"{path.name}.moved"))

    def all(self) -> tuple[Key, ...]:
        """All keys, the oldest first."""
        with self._connect() as connection:
            query = sql.select(TABLE.c.body).order_by(TABLE.c.created_at, TABLE.c.name)
            bodies = connection.execute(query).scalars().all()
        return tuple(Key.model_validate(json.loads(body)) for body in bodies)

    def add(self, key: Key) -> None:
        """Keep a key. Raises RequestError if its name is taken."""
        row = {
            "name": key.name,
            "created_at": key.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "body": json.dumps(key.model_dump(mode="json")),
        }
        with self._writing("keys", 60):
            if any(known.name == key.name for known in self.all()):
                raise RequestError(
                    f"There is a key named '{key.name}' already. Choose another name, or remove that key first."
                )
            with self._connect() as connection:  # that only writes: SQLite lets no reader become a writer
                connection.execute(sql.insert(TABLE), row)
        self._note_deed("add key", f"keys/{key.name}", key.role)

    def remove(self, name: str) -> None:
        """Forget a key: servers refuse it from now on. Raises MissingError for an unknown name."""
        with self._writing("keys", 60), self._connect() as connection:
            is_gone = connection.execute(sql.delete(TABLE).where(TABLE.c.name == name)).rowcount
        if not is_gone:
            known = ", ".join(key.name for key in self.all())
            raise MissingError(f"There is no key named '{name}' in this workspace. It has: {known or 'none yet'}.")
        self._note_deed("revoke key", f"keys/{name}", "")
