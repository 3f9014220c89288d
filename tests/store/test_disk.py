"""What a disk refuses, in words."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sonneteer.errors import MachineError
from sonneteer.records import DatasetVersion
from sonneteer.store import Store, write_whole
from sonneteer.store.disk import refusals


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "may not be written"),
        (errno.EACCES, "may not be written"),
        (errno.ENOTDIR, "stands in the way"),
        (errno.EIO, "cannot be used"),
    ],
)
def test_every_refusal_names_the_path_and_what_to_do(code: int, said: str) -> None:
    with pytest.raises(MachineError, match=said) as caught, refusals(Path("/some/where")):
        raise OSError(code, "reason")
    assert "/some/where" in str(caught.value)
    assert any(advice in str(caught.value) for advice in ("Free", "Choose", "Check"))


def test_writing_replaces_a_file_as_a_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "page.html", b"one")
    write_whole(tmp_path / "new" / "page.html", b"two")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "new").iterdir()] == [("page.html", b"two")]


def test_a_write_that_is_broken_off_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_whole(target, b"one")
    with pytest.raises(TypeError):
        write_whole(target, "not bytes")  # type: ignore[arg-type]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("page.html", b"one")]


def test_a_full_disk_below_the_catalogue_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    connect = sqlite3.dbapi2.connect

    def connect_to_a_full_disk(path: str, check_same_thread: bool) -> sqlite3.Connection:
        connection = connect(path, check_same_thread=check_same_thread)
        connection.execute("PRAGMA max_page_count=1")  # SQLite never goes below what the file has
        return connection

    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect_to_a_full_disk)
    sources = tuple({"path": "x" * 5000, "sha256": "0", "format": "chat", "rows": n} for n in range(100))
    big = DatasetVersion.model_validate(
        {
            "id": "d",
            "name": "n",
            "created_at": "2026-03-01T12:00:00Z",
            "prepared_from": "p",
            "splits": {},
            "sources": sources,
            "totals": {},
            "ledger_file": "l",
        }
    )
    with pytest.raises(MachineError, match="is full"):
        store.save(big)
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM datasets").fetchone() == (0,)
