"""The audit log on the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sonneteer.cli import main
from sonneteer.store import Store
from tests.cli.conftest import DATASET, Command


def told(capsys: pytest.CaptureFixture[str], workspace: Path, action: str) -> dict[str, object]:
    main(["audit", action, "--workspace", str(workspace), "--json"])
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_the_log_is_shown_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.save(DATASET)
    shown = told(capsys, tmp_path, "show")["entries"]
    assert isinstance(shown, list)
    assert [entry["subject"] for entry in shown] == [f"datasets/{DATASET.id}"]
    assert told(capsys, tmp_path, "verify")["problems"] == []
    with closing(sqlite3.connect(store.root / "catalogue.sqlite")) as past_the_log, past_the_log:
        past_the_log.execute("UPDATE datasets SET body = replace(body, 'a.jsonl', 'b.jsonl')")
    verified = told(capsys, tmp_path, "verify")
    assert (verified["exit_code"], len(verified["problems"])) == (3, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["audit", "verify"],
            ["forget", "somebody"],
            ["diff", "a", "b"],
            ["rollback", "demo"],
            ["deployment", "demo"],
        ),
        *(["monitor"], ["review"], ["harvest"], ["improve", "--if-needed"], ["feedback", "msg_a", "--good"]),
    ],
    ids=" ".join,
)
def test_a_workspace_that_is_not_there_does_not_look_well(sonneteer: Command, folder: Path, words: list[str]) -> None:
    said = sonneteer(*words, "--workspace", "wrkspace")
    assert (said.code, f"There is no workspace {folder / 'wrkspace'}. Go to the folder" in said.err) == (3, True)
    assert not (folder / "wrkspace").exists()
