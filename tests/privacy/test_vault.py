"""The vault opens to its passphrase alone, and holds nothing that can be read without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.errors import DataError, LockedError, MissingError, TakenError
from sonneteer.privacy import given_passphrase, make_vault, open_vault, vault_id


def test_the_passphrase_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "people.vault"
    made = make_vault(path, b"open sesame")
    assert open_vault(path, b"open sesame") == made
    assert vault_id(path) == made.id
    assert made.key.hex() not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_another_passphrase_does_not(tmp_path: Path) -> None:
    make_vault(tmp_path / "people.vault", b"open sesame")
    with pytest.raises(LockedError, match="does not open"):
        open_vault(tmp_path / "people.vault", b"open barley")


def test_a_changed_file_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "people.vault"
    make_vault(path, b"open sesame")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": "0" * 16}))
    with pytest.raises(LockedError):
        open_vault(path, b"open sesame")


def test_a_vault_is_never_overwritten_and_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.vault"
    path.write_text("my shopping list")
    with pytest.raises(TakenError):
        make_vault(path, b"x")
    with pytest.raises(DataError, match="no vault"):
        open_vault(path, b"x")
    with pytest.raises(MissingError, match="sonneteer vault make"):
        open_vault(tmp_path / "other.vault", b"x")


def test_the_passphrase_comes_from_the_environment(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("from a file\n")
    assert given_passphrase({"SONNETEER_VAULT_PASSPHRASE": "said"}, tmp_path) == b"said"
    assert given_passphrase({"SONNETEER_VAULT_KEY_FILE": str(key_file)}, tmp_path) == b"from a file"
    with pytest.raises(LockedError, match="SONNETEER_VAULT_PASSPHRASE"):
        given_passphrase({}, tmp_path)
    with pytest.raises(LockedError, match="cannot be read"):
        given_passphrase({"SONNETEER_VAULT_KEY_FILE": str(tmp_path / "none")}, tmp_path)
