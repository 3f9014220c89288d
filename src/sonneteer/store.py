"""The workspace: a catalogue of all records, files named by their content, and one writer at a time.

The catalogue is a relational database (SQLite in the workspace, or any that SQLAlchemy reaches by URL). Each record is
a row: the columns that are searched, and the whole record as JSON. What is large is a file beside it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from filelock import FileLock, Timeout

from sonneteer.errors import BusyError, MachineError, MissingError
from sonneteer.records import DatasetVersion, ModelVersion, Report, Run

Kept = DatasetVersion | Run | Report | ModelVersion
K = TypeVar("K", DatasetVersion, Run, Report, ModelVersion)

TABLES: dict[type[Kept], str] = {DatasetVersion: "datasets", Run: "runs", Report: "reports", ModelVersion: "models"}
SEARCHED: dict[type[Kept], tuple[str, ...]] = {
    DatasetVersion: ("name",),
    Run: ("name", "status", "dataset_id"),
    Report: ("run_id", "dataset_id", "verdict"),
    ModelVersion: ("name", "number", "run_id", "stage"),
}
TIME: dict[type[Kept], str] = {Run: "started_at"}  # elsewhere: created_at


class Store:
    """A workspace folder with its catalogue. Created, and brought to the newest form, when it is opened."""

    def __init__(self, root: Path, catalogue_url: str | None = None) -> None:
        self.root = root.absolute()
        with _disk(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        self._engine = sql.create_engine(catalogue_url or f"sqlite:///{self.root / 'catalogue.sqlite'}")
        if self._engine.dialect.name == "sqlite":
            sql.event.listen(self._engine, "connect", _use_write_ahead_log)
        with self.writing("catalogue", wait_seconds=60), _disk(self.root):
            _migrate(self._engine)

    # Files named by their content ---------------------------------------------------------------

    def put(self, content: bytes, suffix: str) -> str:
        """Keep bytes; returns the file's name, its SHA-256 and the suffix. The same content twice is one file."""
        name = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
        target = self._place(name)
        if not target.exists():
            write_whole(target, content)
        return name

    def path(self, name: str) -> Path:
        """Where a kept file lies."""
        path = self._place(name)
        if not path.exists():
            raise MissingError(f"The file {name} is missing from {path.parent}. Prepare the data again, or restore a backup.")
        return path

    def _place(self, name: str) -> Path:
        return self.root / "files" / name[:2] / name

    def folder(self, run_id: str) -> Path:
        """The folder of a run's own files."""
        folder = self.root / "runs" / run_id
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    # The catalogue ------------------------------------------------------------------------------

    def save(self, record: Kept) -> None:
        """Insert a record, or replace the one with its id."""
        kind = type(record)
        body = record.model_dump(mode="json")
        row = {column: body[column] for column in SEARCHED[kind]}
        row |= {"id": record.id, "created_at": body[TIME.get(kind, "created_at")], "body": json.dumps(body)}
        table = _table(kind)
        with _disk(self.root), self._engine.begin() as connection:
            connection.execute(sql.delete(table).where(table.c.id == record.id))
            connection.execute(sql.insert(table).values(row))

    def get(self, kind: type[K], id: str) -> K:
        """The record of this id. Raises MissingError, which names what comes near."""
        found = self.find(kind, id=id)
        if found:
            return found[0]
        known = [record.id for record in self.find(kind)]
        near = get_close_matches(id, known) or known[:5]
        raise MissingError(
            f"There is no '{id}' among the {TABLES[kind]} of {self.root}. It has: {', '.join(near) or 'none yet'}."
        )

    def find(self, kind: type[K], **columns: str | int) -> list[K]:
        """Records whose columns have these values, newest first."""
        table = _table(kind)
        query = sql.select(table.c.body).where(*(table.c[name] == value for name, value in columns.items()))
        with self._engine.connect() as connection:
            bodies = connection.execute(query.order_by(table.c.created_at.desc())).scalars()
            return [kind.model_validate(json.loads(body)) for body in bodies]

    def open_test_split(self, dataset_id: str) -> int:
        """Count that the sealed test split was opened; returns how often it has been by now."""
        openings = sql.table("test_openings", sql.column("dataset_id"), sql.column("opened_at"))
        with _disk(self.root), self._engine.begin() as connection:
            connection.execute(
                sql.insert(openings).values(dataset_id=dataset_id, opened_at=datetime.now(UTC).isoformat())
            )
            count = sql.select(sql.func.count()).select_from(openings).where(openings.c.dataset_id == dataset_id)
            return int(connection.execute(count).scalar_one())

    # One writer at a time -----------------------------------------------------------------------

    @contextmanager
    def writing(self, what: str, wait_seconds: float = 0) -> Iterator[None]:
        """Nobody else writes `what` meanwhile. Raises BusyError, which says who does."""
        path = self.root / "locks" / f"{what}.lock"
        with _disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        holder = path.with_suffix(".holder")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout as problem:
            raise BusyError(
                f"Another process is working on {what} ({_read_holder(holder)}). Wait for it, or stop it and try again."
            ) from problem
        try:
            holder.write_text(f"process {os.getpid()} since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}")
            yield
        finally:
            lock.release()


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash or on a full disk."""
    with _disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Say in words what the disk refused."""
    try:
        yield
    except (OSError, sql.exc.OperationalError) as problem:
        code = getattr(problem, "errno", None)
        if code == errno.ENOSPC or "disk is full" in str(problem):
            raise MachineError(f"The disk that holds {path} is full. Free some space and give the same command again.") from problem
        if code in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR):
            raise MachineError(f"{path} cannot be written: {problem}. Choose another folder with --workspace.") from problem
        raise


def _read_holder(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return "it did not leave its name"


def _table(kind: type[Kept]) -> sql.TableClause:
    columns = dict.fromkeys(("id", "created_at", *SEARCHED[kind], "body"))
    return sql.table(TABLES[kind], *(sql.column(name) for name in columns))


def _use_write_ahead_log(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=30000")


def _migrate(engine: sql.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
