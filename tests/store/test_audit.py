"""The audit log: every change is told, and whoever tampers is found."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sonneteer.records import DatasetVersion
from sonneteer.store import Store, audit
from tests.cli.conftest import DATASET


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.save(DATASET)
    store.save(DATASET.model_copy(update={"prepared_from": "elsewhere"}))
    store.open_test_split(DATASET.id)
    return store


def tamper(store: Store, statement: str, has_triggers: bool = False) -> None:
    with closing(sqlite3.connect(store.root / "catalogue.sqlite")) as connection:
        if not has_triggers:
            connection.execute("DROP TRIGGER audit_refuses_update")
            connection.execute("DROP TRIGGER audit_refuses_delete")
        connection.execute(statement)
        connection.commit()


def test_every_change_is_told_and_an_honest_log_holds(store: Store) -> None:
    assert [entry.action for entry in store.audit_log()] == ["save", "save", "open the sealed test split"]
    assert all("@" in entry.who for entry in store.audit_log())
    assert store.audit_problems() == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit SET who = 'nobody' WHERE number = 1", "Entry 1 .* was changed"),
        ("DELETE FROM audit WHERE number = 2", "Entry 2 is missing"),
        ("DELETE FROM audit WHERE number = 3", "The log ends at entry 2"),
        ("UPDATE datasets SET body = replace(body, 'elsewhere', 'nowhere')", "is not as it was saved"),
        ("DELETE FROM datasets", "is gone"),
    ],
)
def test_tampering_is_found(store: Store, statement: str, problem: str) -> None:
    tamper(store, statement)
    assert any(re.search(problem, found) for found in store.audit_problems())


def test_without_the_remembered_end_nobody_can_tell_whether_it_was_cut_off(store: Store) -> None:
    (store.root / "audit-head.txt").unlink()
    assert "audit-head.txt is gone" in store.audit_problems()[0]


def test_a_process_that_was_killed_before_it_remembered_the_end_is_no_tampering(store: Store) -> None:
    before = (store.root / "audit-head.txt").read_text()
    store.open_test_split(DATASET.id)
    (store.root / "audit-head.txt").write_text(before)
    assert store.audit_problems() == []


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_the_log(store: Store, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        tamper(store, statement, has_triggers=True)


def test_records_from_before_the_log_are_no_tampering(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(DATASET)
    tamper(store, "DELETE FROM audit")
    (store.root / "audit-head.txt").unlink()
    assert store.find(DatasetVersion) == [DATASET]
    assert store.audit_problems() == []


def test_what_the_log_cannot_tell_of_is_not_saved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(DATASET.model_copy(update={"prepared_from": "nowhere"}))
    assert store.find(DatasetVersion)[0].prepared_from == "elsewhere"
    assert store.audit_problems() == []
