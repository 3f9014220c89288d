"""Secrets are planted wherever a source can hold them, and looked for in all that a preparation writes and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.cli import main
from sonneteer.data import forget, prepare, read_ledger, read_split
from sonneteer.errors import DataError
from sonneteer.privacy import digest_of, masked
from sonneteer.recipe.sections import PrivacySettings
from sonneteer.records import KEPT
from sonneteer.store import Store
from tests.data.writing import Noting, WordReader, question, recipe_of, write_lines

MAIL, NUMBER, KEY = "jane.roe@mail.example.org", "078-05-1120", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
PERSON = "customer jane-1977"
SECRETS = (MAIL, NUMBER, KEY, PERSON)
ALL = f"{MAIL} {NUMBER} {KEY}"
BROKEN = [
    {"messages": [{"role": MAIL, "content": "x"}]},
    {"messages": [{"role": "user", "content": [{"type": KEY, "x": NUMBER}]}]},
    {"messages": [{"role": "user", "content": {"secret": NUMBER}}, {"role": "assistant", "content": ALL}]},
    {"messages": [{"role": "assistant", "content": ALL, "tool_calls": [{"id": MAIL, "function": {"arguments": ALL}}]}]},
    {"messages": ALL},
    {"prompt": {"is": ALL}, "completion": 3},
    {"prompt": ALL, "completion": ""},
    {"id": ALL, "prompt": "x", "completion": [NUMBER]},
]


def everything_of(store: Store) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in store.root.rglob("*") if path.is_file())


def sources(folder: Path) -> None:
    rows = [question(number) for number in range(30)]
    rows += [
        {"prompt": f"It is {ALL}", "completion": "Hello.", "person": PERSON, "topic": MAIL, "time": "2024-01-01"},
        {"prompt": f"It is {ALL}", "completion": "Goodbye.", "person": PERSON},
        {"prompt": f"It is {ALL} indeed", "completion": f"The number is {NUMBER} " * 3, "conversation": KEY},
    ]
    write_lines(folder / "x.jsonl", [*rows, *BROKEN])
    with (folder / "x.jsonl").open("a") as stream:
        stream.write(f'{{"prompt": "{MAIL}", \n"{NUMBER}"\n[{json.dumps(ALL)}\n')


def test_no_file_of_the_workspace_and_no_word_on_the_way_holds_a_planted_secret(tmp_path: Path) -> None:
    sources(tmp_path)
    store, watching = Store(tmp_path / "workspace"), Noting()
    recipe = recipe_of("x.jsonl", bad_rows_share=0.5)
    dataset = prepare(recipe, tmp_path, store, WordReader(), watching)
    reasons = [entry.reason for entry in read_ledger(store, dataset) if entry.fate == "broken"]
    assert len(reasons) >= len(BROKEN)
    everything = "\n".join((everything_of(store), *watching.notes, *reasons))
    texts = [one.model_dump_json() for side in KEPT for one in read_split(store, dataset, side)]
    for secret in SECRETS:
        assert secret not in everything
        assert not any(secret in text for text in texts)


def test_no_error_of_a_preparation_holds_one(tmp_path: Path) -> None:
    sources(tmp_path)
    store = Store(tmp_path / "workspace")
    for settings in ({"bad_rows_share": 0.0}, {"bad_rows_share": 0.5, "split_by_time": True}):
        with pytest.raises(DataError) as caught:
            prepare(recipe_of("x.jsonl", **settings), tmp_path, store, WordReader())
        assert not any(secret in str(caught.value) for secret in SECRETS)
    refusing = recipe_of("x.jsonl", bad_rows_share=0.5).model_copy(update={"privacy": PrivacySettings(emails="fail")})
    with pytest.raises(DataError, match="emails") as caught:
        prepare(refusing, tmp_path, store, WordReader())
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_a_person_is_a_digest_that_only_the_workspace_can_make(tmp_path: Path) -> None:
    sources(tmp_path)
    store, other = Store(tmp_path / "workspace"), Store(tmp_path / "other")
    recipe = recipe_of("x.jsonl", bad_rows_share=0.5)
    dataset = prepare(recipe, tmp_path, store, WordReader())
    people = {one.tags["person"] for side in KEPT for one in read_split(store, dataset, side) if "person" in one.tags}
    assert people == {digest_of(PERSON, store.private_key())} != {digest_of(PERSON, other.private_key())}
    assert store.private_key() == Store(tmp_path / "workspace").private_key()
    assert forget(store, PERSON).rows == 2


def test_the_log_of_a_mistake_of_ours_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sonneteer import preparation

    def breaks(*_: object) -> None:
        raise ValueError(f"a row says {ALL}")

    write_lines(tmp_path / "x.jsonl", [question(number) for number in range(20)])
    (tmp_path / "recipe.yaml").write_text("name: x\ndata: x.jsonl\n")
    monkeypatch.setattr(preparation, "prepare", breaks)
    assert main(["prepare", str(tmp_path), "--workspace", str(tmp_path / "workspace"), "--json"]) == 1
    (log,) = (tmp_path / "workspace" / "logs").glob("*.log")
    assert "a row says [EMAIL] [NATIONAL ID] [SECRET]" in log.read_text()


def test_words_are_masked_by_form() -> None:
    assert masked(f"because {MAIL} asked") == "because [EMAIL] asked"
    assert masked("all is well") == "all is well"
