"""The catalogue: every record as a row of a relational database, with the columns that are searched.

SQLite in the workspace by default, or any database that SQLAlchemy reaches by URL. The whole record stands in the
column `body` as JSON; a record that gains a field needs no new column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.pool import NullPool

from sonneteer.errors import BusyError, ExtraError, MachineError, MissingError, RecipeError
from sonneteer.migrations import upgrade
from sonneteer.records import DatasetVersion, Deployment, ModelVersion, Report, Run, fingerprint_of
from sonneteer.store import audit, disk
from sonneteer.store.audit import AuditEntry

Kept = DatasetVersion | Run | Report | ModelVersion | Deployment
R = TypeVar("R", DatasetVersion, Run, Report, ModelVersion, Deployment)

TABLES: dict[type[Kept], str] = {
    DatasetVersion: "datasets",
    Run: "runs",
    Report: "reports",
    ModelVersion: "models",
    Deployment: "deployments",
}
SEARCHED: dict[type[Kept], tuple[str, ...]] = {
    DatasetVersion: ("prepared_from",),
    Run: ("status", "dataset_id"),
    Report: ("run_id", "dataset_id", "verdict"),
    ModelVersion: ("number", "run_id", "dataset_id", "stage"),
    Deployment: ("champion_id", "phase"),
}
"""Columns besides id, name and created_at, which every table has."""
OPENINGS = sql.table("test_openings", sql.column("dataset_id"), sql.column("opened_at"))
OPENED = sql.table("opened_rows", sql.column("example_id"), sql.column("opened_at"))
REVISION = sql.table("alembic_version", sql.column("version_num"))
AT_ONCE = 500
"""Examples in one query: databases bound how many values it may have."""


class Catalogue:
    """The records of one workspace. `place` is what error messages call it."""

    def __init__(self, url: str, place: Path) -> None:
        self._place = place
        self._engine = _engine(url)

    def migrate(self) -> None:
        """Bring the tables to the newest form."""
        with self.connection() as connection:
            upgrade(connection)

    def save(self, record: Kept) -> AuditEntry:
        """Insert a record, or replace the one with its id. The audit log tells of it, or else it is not saved either.

        The caller sees to it that nobody else writes the log meanwhile.
        """
        kind = type(record)
        table = _table(kind)
        body = record.model_dump(mode="json")
        row = {column: body[column] for column in SEARCHED[kind]}
        row |= {"id": record.id, "created_at": _moment(record), "body": json.dumps(body)}
        with self.connection() as connection:
            connection.execute(sql.delete(table).where(table.c.id == record.id))
            row["name"] = _run_name(connection, record) if isinstance(record, Report) else record.name
            connection.execute(sql.insert(table).values(row))
            subject = f"{TABLES[kind]}/{record.id}"
            return audit.append(connection, "save", subject, record.content_fingerprint())

    def get(self, kind: type[R], id: str) -> R:
        """The record of this id. Raises MissingError, which names what comes near."""
        found = self.find(kind, id=id)
        if found:
            return found[0]
        known = [record.id for record in self.find(kind)]
        near = get_close_matches(id, known) or known[:5]
        what = f"It has: {', '.join(near)}." if near else "It has none yet."
        raise MissingError(f"There is no '{id}' among the {TABLES[kind]} of {self._place}. {what}")

    def find(self, kind: type[R], **columns: str | int) -> list[R]:
        """Records whose columns have these values, newest first."""
        table = _table(kind)
        unknown = [name for name in columns if name not in table.c]
        assert not unknown, f"{TABLES[kind]} cannot be searched by {unknown}"
        query = sql.select(table.c.body).where(*(table.c[name] == value for name, value in columns.items()))
        with self.connection() as connection:
            bodies = connection.execute(query.order_by(table.c.created_at.desc(), table.c.id.desc())).scalars()
            return [kind.model_validate(json.loads(body)) for body in bodies]

    def count_opening(self, dataset_id: str, example_ids: Collection[str]) -> int:
        """Count that these examples of the sealed test split were opened; returns how often by now."""
        with self.connection() as connection:
            now = datetime.now(UTC).isoformat()
            connection.execute(sql.insert(OPENINGS).values(dataset_id=dataset_id, opened_at=now))
            # The second of two who open at once waits for this one row, and then counts the first one's opening, too.
            connection.execute(sql.select(REVISION.c.version_num).with_for_update())
            if example_ids:
                rows = [{"example_id": id, "opened_at": now} for id in sorted(set(example_ids))]
                connection.execute(sql.insert(OPENED), rows)
            return _openings(connection, dataset_id, example_ids)

    def openings(self, dataset_id: str, example_ids: Collection[str]) -> int:
        """How often the sealed test split, or the one of these examples that was opened most often, has been opened."""
        with self.connection() as connection:
            return _openings(connection, dataset_id, example_ids)

    def fingerprints(self) -> dict[str, str]:
        """Of every record as it stands in the database, by its table and id."""
        found = {}
        with self.connection() as connection:
            for kind, name in TABLES.items():
                table = _table(kind)
                for id, body in connection.execute(sql.select(table.c.id, table.c.body)):
                    found[f"{name}/{id}"] = fingerprint_of(json.loads(body))
        return found

    def append_audit(self, action: str, subject: str, content: str) -> AuditEntry:
        """Write the audit log's next entry. The caller sees to it that nobody else does so meanwhile."""
        with self.connection() as connection:
            return audit.append(connection, action, subject, content)

    def audit_log(self) -> list[AuditEntry]:
        """The whole log, the oldest first."""
        with self.connection() as connection:
            return audit.entries(connection)

    @contextmanager
    def connection(self) -> Iterator[sql.Connection]:
        """One transaction. What the database refuses is said in words."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DBAPIError as problem:
            raise _refusal(problem, self._place) from problem


def _engine(url: str) -> sql.Engine:
    try:
        parsed = sql.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        # No open file or connection stays behind, and none is stale after the database was started anew.
        engine = sql.create_engine(parsed, poolclass=NullPool)
    except (sql.exc.ArgumentError, sql.exc.NoSuchModuleError) as problem:
        raise RecipeError(
            "The catalogue's URL is none. It looks like postgresql://user:password@host/name."
        ) from problem
    except ModuleNotFoundError as problem:
        raise ExtraError(
            f"The catalogue's database needs the package '{problem.name}'. For PostgreSQL: pip install "
            "'sonneteer[postgres]'."
        ) from problem
    if parsed.get_backend_name() == "sqlite":
        sql.event.listen(engine, "connect", _prepare_sqlite)
        sql.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's sqlite3 would begin transactions late and never around a change of tables: we begin them ourselves.
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")  # what people wrote is overwritten when its time is over


def _refusal(problem: sql.exc.DBAPIError, place: Path) -> MachineError | BusyError:
    said = str(problem.orig)
    if "disk is full" in said:
        return MachineError(disk.full(place))
    if "is locked" in said:
        return BusyError(f"Another process holds the catalogue of {place} for half a minute now. Try again later.")
    if "not a database" in said or "malformed" in said:
        return MachineError(
            f"The catalogue of {place} is damaged ({said}). Restore it from a backup, or choose another workspace."
        )
    return MachineError(
        f"The catalogue of {place} cannot be used: {said}. Check that its disk or server can be reached."
    )


def _table(kind: type[Kept]) -> sql.TableClause:
    names = ("id", "name", "created_at", *SEARCHED[kind], "body")
    return sql.table(TABLES[kind], *(sql.column(name) for name in names))


def _moment(record: Kept) -> str:
    """When it came to be, written so that the order of the texts is the order in time."""
    moment = record.started_at if isinstance(record, Run) else record.created_at
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _run_name(connection: sql.Connection, report: Report) -> str:
    """A report goes by the name of its run."""
    runs = _table(Run)
    name = connection.execute(sql.select(runs.c.name).where(runs.c.id == report.run_id)).scalar()
    return str(name or "")


def _openings(connection: sql.Connection, dataset_id: str, example_ids: Collection[str]) -> int:
    count = sql.select(sql.func.count()).select_from(OPENINGS).where(OPENINGS.c.dataset_id == dataset_id)
    most, ids = int(connection.execute(count).scalar_one()), sorted(set(example_ids))
    for first in range(0, len(ids), AT_ONCE):
        some = OPENED.c.example_id.in_(ids[first : first + AT_ONCE])
        counts = sql.select(sql.func.count()).select_from(OPENED).where(some).group_by(OPENED.c.example_id)
        most = max(most, *connection.execute(counts).scalars(), 0)
    return most
