"""Live exchanges, and what people said of them: many small rows that come and go."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sql

from sonneteer.errors import MissingError
from sonneteer.records import Exchange, Feedback

T = TypeVar("T", Exchange, Feedback)
COMMON = ("id", "name", "created_at")
SEARCHED: dict[type[Exchange] | type[Feedback], tuple[str, ...]] = {
    Exchange: ("model_id", "arm", "conversation"),
    Feedback: ("exchange_id", "opinion"),
}
TABLES = {
    kind: sql.table(name, *(sql.column(column) for column in (*COMMON, *SEARCHED[kind], "body")))
    for kind, name in ((Exchange, "exchanges"), (Feedback, "feedback"))
}


class Traffic:
    """What the catalogue holds of the traffic. Writing the same record again replaces it."""

    def __init__(self, connect: Callable[[], AbstractContextManager[sql.Connection]]) -> None:
        self._connect = connect

    def keep(self, exchanges: Sequence[Exchange]) -> None:
        """Write exchanges, all of them or none."""
        self._keep(Exchange, exchanges)

    def say(self, feedback: Feedback) -> None:
        """Write what a person said. Raises MissingError where the exchange was not written down."""
        self.exchange(feedback.exchange_id)
        self._keep(Feedback, [feedback])

    def exchange(self, id: str) -> Exchange:
        """The exchange of this id. Raises MissingError."""
        found = self._find(Exchange, [TABLES[Exchange].c.id == id], None)
        if not found:
            raise MissingError(
                f"There is no exchange '{id[:80]}'. Give the id of a message that was answered here and written down: "
                "`monitoring.record` says what is, and `monitoring.retention_days` for how long."
            )
        return found[0]

    def exchanges(
        self, name: str, since: datetime | None = None, until: datetime | None = None, newest: int | None = None
    ) -> list[Exchange]:
        """Those of a name from one moment until before another, the oldest first; at most so many of the newest."""
        return self._find(Exchange, _between(TABLES[Exchange], name, since, until), newest)

    def feedback(self, name: str, since: datetime | None = None, until: datetime | None = None) -> list[Feedback]:
        """What people said of the answers under a name, the oldest first."""
        return self._find(Feedback, _between(TABLES[Feedback], name, since, until), None)

    def forget_before(self, name: str, moment: datetime) -> int:
        """Delete what is older under a name, with what was said of it; returns how many exchanges that were."""
        exchanges, feedback = TABLES[Exchange], TABLES[Feedback]
        is_old = sql.and_(*_between(exchanges, name, None, moment))
        with self._connect() as connection:
            old = sql.select(exchanges.c.id).where(is_old)
            connection.execute(sql.delete(feedback).where(feedback.c.exchange_id.in_(old)))
            return int(connection.execute(sql.delete(exchanges).where(is_old)).rowcount)

    def _keep(self, kind: type[T], records: Sequence[T]) -> None:
        table = TABLES[kind]
        rows = {record.id: _row(record) for record in records}
        if rows:
            with self._connect() as connection:
                connection.execute(sql.delete(table).where(table.c.id.in_(list(rows))))
                connection.execute(sql.insert(table), list(rows.values()))

    def _find(self, kind: type[T], conditions: Sequence[sql.ColumnElement[bool]], newest: int | None) -> list[T]:
        table = TABLES[kind]
        query = sql.select(table.c.body).where(*conditions)
        query = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(newest)
        with self._connect() as connection:
            bodies = connection.execute(query).scalars().all()
        return [kind.model_validate(json.loads(body)) for body in reversed(bodies)]


def _row(record: Exchange | Feedback) -> dict[str, str]:
    body = record.model_dump(mode="json")
    row = {name: body[name] for name in ("id", "name", *SEARCHED[type(record)])}
    return row | {"created_at": _text(record.created_at), "body": json.dumps(body)}


def _between(
    table: sql.TableClause, name: str, since: datetime | None, until: datetime | None
) -> list[sql.ColumnElement[bool]]:
    conditions: list[sql.ColumnElement[bool]] = [table.c.name == name]
    conditions += [] if since is None else [table.c.created_at >= _text(since)]
    return conditions + ([] if until is None else [table.c.created_at < _text(until)])


def _text(moment: datetime) -> str:
    """Written so that the order of the texts is the order in time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
