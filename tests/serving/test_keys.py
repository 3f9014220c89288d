from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from sonneteer.errors import DataError, MissingError, RequestError
from sonneteer.serving import Keys, create_key, remove_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "keys.json"


def test_a_created_key_opens_and_another_does_not(path: Path) -> None:
    secret = create_key(path, "billing")
    keys = Keys.load(path)
    found = keys.key_of(secret)
    assert found is not None
    assert found.name == "billing"
    assert keys.key_of(secret + "x") is None
    assert keys.key_of("") is None


def test_a_key_says_what_it_is_for(path: Path) -> None:
    assert create_key(path, "billing").startswith("sk-sonneteer-")


def test_the_file_never_holds_the_key_and_only_its_owner_reads_it(path: Path) -> None:
    secret = create_key(path, "billing")
    assert secret.removeprefix("sk-sonneteer-") not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_there_are_no_keys(path: Path) -> None:
    assert Keys.load(path).names == ()


def test_a_name_is_taken_only_once(path: Path) -> None:
    create_key(path, "billing")
    with pytest.raises(RequestError, match="named 'billing' already"):
        create_key(path, "billing")


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 65])
def test_a_name_is_one_short_line(path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="one line of 1 to 64 characters"):
        create_key(path, name)
    assert not path.exists()


def test_a_removed_key_is_refused_and_the_others_still_open(path: Path) -> None:
    old, new = create_key(path, "old"), create_key(path, "new")
    remove_key(path, "old")
    keys = Keys.load(path)
    assert keys.key_of(old) is None
    assert keys.key_of(new) is not None


def test_removing_an_unknown_key_names_the_known_ones(path: Path) -> None:
    create_key(path, "billing")
    with pytest.raises(MissingError, match="It has: billing"):
        remove_key(path, "biling")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": [{"name": "a"}]}', '{"keys": [], "more": 1}'])
def test_a_damaged_file_opens_to_nobody(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(DataError, match="damaged"):
        Keys.load(path)
    with pytest.raises(DataError, match="damaged"):
        create_key(path, "billing")
    assert path.read_text() == content


def test_keys_created_at_the_same_time_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=create_key, args=(path, f"team {number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(path.read_text())["keys"]) == 8


def test_a_running_server_learns_of_new_and_revoked_keys(path: Path) -> None:
    first = create_key(path, "first")
    keys = Keys.load(path)
    second = create_key(path, "second", role="reviewer")
    remove_key(path, "first")
    assert keys.key_of(first) is None
    found = keys.key_of(second)
    assert found is not None
    assert found.role == "reviewer"
