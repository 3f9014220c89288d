"""The database behind the records: migrations, transactions, and what it refuses."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory

from sonneteer.errors import ExtraError, MachineError, RecipeError
from sonneteer.migrations import FOLDER, NEWEST
from sonneteer.records import Run
from sonneteer.store import Store

TABLES = {"datasets", "runs", "reports", "models", "test_openings", "audit", "alembic_version"}
TABLES |= {"batches", "files", "opened_rows", "deployments", "exchanges", "feedback", "keys", "trials"}


def tables_of(root: Path) -> set[str]:
    with closing(sqlite3.connect(root / "catalogue.sqlite")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in names if not name.startswith("sqlite_")}


def change(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / "catalogue.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def test_opening_a_workspace_makes_the_tables_with_a_write_ahead_log(tmp_path: Path) -> None:
    Store(tmp_path)
    assert tables_of(tmp_path) == TABLES
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_migrating_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Store(tmp_path)
    assert caplog.records == []


def test_a_migration_that_breaks_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_table = op.create_table

    def breaks_off(name: str, *columns: sql.Column[object]) -> None:
        if name == "models":
            raise KeyboardInterrupt
        create_table(name, *columns)

    monkeypatch.setattr(op, "create_table", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path)
    monkeypatch.undo()
    Store(tmp_path)
    assert tables_of(tmp_path) == TABLES


def test_the_migrations_undo_what_they_did(tmp_path: Path) -> None:
    Store(tmp_path)
    engine = sql.create_engine(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    with engine.begin() as connection:
        config = Config()
        config.attributes["connection"] = connection
        config.set_main_option("script_location", "sonneteer:migrations")
        command.downgrade(config, "base")
    engine.dispose()
    assert tables_of(tmp_path) == {"alembic_version"}


def test_a_catalogue_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path)
    change(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MachineError, match="newer Sonneteer"):
        Store(tmp_path)


def test_a_damaged_catalogue_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(MachineError, match="damaged"):
        Store(tmp_path)


def test_a_catalogue_without_its_tables_is_refused_in_words(tmp_path: Path) -> None:
    store = Store(tmp_path)
    change(tmp_path, "DROP TABLE runs")
    with pytest.raises(MachineError, match="no such table: runs"):
        store.find(Run)


def test_a_catalogue_elsewhere_is_used_by_its_url(tmp_path: Path) -> None:
    Store(tmp_path / "workspace", catalogue_url=f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    assert (tmp_path / "elsewhere.sqlite").exists()
    assert not (tmp_path / "workspace" / "catalogue.sqlite").exists()


def test_a_url_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="postgresql") as caught:
        Store(tmp_path, catalogue_url="nonsense secret")
    assert "secret" not in str(caught.value)


def test_a_database_without_its_driver_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ExtraError, match="'oracledb'"):
        Store(tmp_path, catalogue_url="oracle+oracledb://user:secret@localhost/name")


def test_openings_are_counted_once_each_when_many_open_at_once(tmp_path: Path) -> None:
    Store(tmp_path)
    counts: list[int] = []

    def open_some() -> None:
        store = Store(tmp_path)
        for _ in range(5):
            counts.append(store.open_test_split("d"))

    threads = [threading.Thread(target=open_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == list(range(1, 21))


def test_a_catalogue_of_the_newest_form_is_opened_without_alembic(tmp_path: Path) -> None:
    Store(tmp_path)
    assert ScriptDirectory(str(FOLDER)).get_current_head() == NEWEST
    opens = (
        "import sys, pathlib, sonneteer.store as s; s.Store(pathlib.Path(sys.argv[1])); print('alembic' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", opens, str(tmp_path)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
