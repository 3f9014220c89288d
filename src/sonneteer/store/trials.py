"""Searches in the catalogue: an ordered journal for each, to which several processes may write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sql

TABLE = sql.table("trials", sql.column("study"), sql.column("number"), sql.column("body"))


class TrialJournals:
    """What happened to the trials of each search of a workspace."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[sql.Connection]],
        writing: Callable[[str, float], AbstractContextManager[None]],
    ) -> None:
        self._connect = connect
        self._writing = writing

    def read(self, study: str, first: int = 0) -> list[dict[str, Any]]:
        """A study's entries from this number on."""
        query = sql.select(TABLE.c.body).where(TABLE.c.study == study, TABLE.c.number >= first)
        with self._connect() as connection:
            bodies = connection.execute(query.order_by(TABLE.c.number)).scalars().all()
        return [json.loads(body) for body in bodies]

    def append(self, study: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """All of the entries, one behind the other, or none."""
        count = sql.select(sql.func.count()).where(TABLE.c.study == study)
        with self._writing("trials", 60):
            with self._connect() as connection:
                known = connection.execute(count).scalar_one()
            rows = [
                {"study": study, "number": known + place, "body": json.dumps(entry)}
                for place, entry in enumerate(entries)
            ]
            with self._connect() as connection:  # that only writes: SQLite lets no reader become a writer
                connection.execute(sql.insert(TABLE), rows)
