from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sonneteer.errors import DataError, MachineError, MissingError, RequestError
from sonneteer.records import Key
from sonneteer.serving import Keys, create_key
from sonneteer.store import KeyRing, Store
from sonneteer.testing import ScriptedChat

Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def ring(store: Store) -> KeyRing:
    return store.keys


def test_a_created_key_opens_and_another_does_not(ring: KeyRing) -> None:
    secret = create_key(ring, "billing")
    keys = Keys(ring.all())
    found = keys.key_of(secret)
    assert found is not None
    assert found.name == "billing"
    assert keys.key_of(secret + "x") is None
    assert keys.key_of("") is None


def test_a_key_says_what_it_is_for(ring: KeyRing) -> None:
    assert create_key(ring, "billing").startswith("sk-sonneteer-")


def test_nothing_in_the_workspace_holds_the_key_itself(ring: KeyRing, tmp_path: Path) -> None:
    secret = create_key(ring, "billing").removeprefix("sk-sonneteer-").encode()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def test_the_audit_log_tells_who_was_let_in_and_who_no_longer(store: Store) -> None:
    create_key(store.keys, "billing", "admin")
    store.keys.remove("billing")
    told = [(entry.action, entry.subject, entry.content) for entry in store.audit_log()]
    assert told == [("add key", "keys/billing", "admin"), ("revoke key", "keys/billing", "")]
    assert store.audit_problems() == []


def test_a_name_is_taken_only_once(ring: KeyRing) -> None:
    create_key(ring, "billing")
    with pytest.raises(RequestError, match="named 'billing' already"):
        create_key(ring, "billing")


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 65])
def test_a_name_is_one_short_line(ring: KeyRing, name: str) -> None:
    with pytest.raises(RequestError, match="one line of 1 to 64 characters"):
        create_key(ring, name)
    assert ring.all() == ()


def test_a_removed_key_is_refused_and_the_others_still_open(ring: KeyRing) -> None:
    old, new = create_key(ring, "old"), create_key(ring, "new")
    ring.remove("old")
    keys = Keys(ring.all())
    assert keys.key_of(old) is None
    assert keys.key_of(new) is not None


def test_removing_an_unknown_key_names_the_known_ones(ring: KeyRing) -> None:
    create_key(ring, "billing")
    with pytest.raises(MissingError, match="It has: billing"):
        ring.remove("biling")


def test_keys_created_at_the_same_time_are_all_kept(tmp_path: Path, ring: KeyRing) -> None:
    threads = [
        threading.Thread(target=create_key, args=(Store(tmp_path).keys, f"team {number}")) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ring.all()) == 8


def test_a_running_server_learns_of_new_and_revoked_keys(start: Any, ring: KeyRing, eventually: Eventually) -> None:
    first = {"x_api_key": create_key(ring, "first")}
    server = start(ScriptedChat(["Hi"]), keys=Keys.of(ring))
    assert server.ask("GET", "/v1/models", **first).status == 200
    second = {"x_api_key": create_key(ring, "second")}
    ring.remove("first")
    assert eventually(lambda: bool(server.ask("GET", "/v1/models", **first).status == 401))
    assert server.ask("GET", "/v1/models", **second).status == 200


def test_keys_still_open_while_the_database_is_away(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    secret = create_key(ring, "first")
    keys = Keys.of(ring)

    def away() -> Any:
        raise MachineError("the database is away")

    monkeypatch.setattr(ring, "all", away)
    assert eventually(lambda: "the database is away" in caplog.text)
    assert keys.key_of(secret) is not None
    keys.close()


# The file in which they once stood ---------------------------------------------------------------


def test_keys_of_the_former_file_move_into_the_catalogue(tmp_path: Path) -> None:
    key = Key(name="old", sha256="0" * 64, created_at=datetime.now(UTC))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.model_dump(mode="json")]}))
    assert Store(tmp_path).keys.all() == (key,)
    assert not (tmp_path / "keys.json").exists()
    assert Store(tmp_path).keys.all() == (key,)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": [{"name": "a"}]}'])
def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(DataError, match="damaged"):
        Store(tmp_path)
    assert (tmp_path / "keys.json").read_text() == content
