"""API keys: who may ask. The file holds names and hashes; a key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import Field, ValidationError

from sonneteer.errors import DataError, MissingError, RequestError
from sonneteer.records import Record
from sonneteer.store import write_whole

PREFIX = "sk-sonneteer-"


KeyRole = Literal["admin", "client", "reviewer"]
"""A client asks for answers, a reviewer says what is good, an admin may do all, and read the figures."""


class Key(Record):
    """What is kept of a key."""

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: datetime
    role: KeyRole = "client"
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)


class KeyFile(Record):
    """The file of all keys."""

    keys: tuple[Key, ...] = ()


class Keys:
    """The keys that open a server."""

    def __init__(self, keys: Sequence[Key] = (), path: Path | None = None) -> None:
        self._keys = tuple(keys)
        self._path = path
        self._seen = _stamp(path)

    @classmethod
    def load(cls, path: Path) -> Keys:
        """The keys of a file; none if there is no such file. Raises DataError for a file that cannot be understood."""
        return cls(_read(path), path)

    @property
    def names(self) -> tuple[str, ...]:
        """Whose keys they are."""
        return tuple(key.name for key in self._keys)

    def named(self, name: str) -> Key | None:
        """The key of this name."""
        self._look_again()
        return next((key for key in self._keys if key.name == name), None)

    def key_of(self, secret: str) -> Key | None:
        """The key that this is. Takes as long for a wrong one as for a right one."""
        self._look_again()
        digest = _digest(secret)
        matches = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None

    def _look_again(self) -> None:
        """A running server learns of keys that were added or revoked. A file that cannot be read changes nothing."""
        if self._path is not None and (stamp := _stamp(self._path)) != self._seen:
            self._seen = stamp
            with suppress(DataError, OSError):
                self._keys = _read(self._path)


def read_keys(path: Path) -> tuple[Key, ...]:
    """All keys of a file, the oldest first. Raises DataError for a file that cannot be understood."""
    return _read(path)


def create_key(
    path: Path,
    name: str,
    role: KeyRole = "client",
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> str:
    """Make a key and keep its hash under this name. The returned text cannot be had a second time."""
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        key = Key(
            name=name,
            sha256=_digest(secret),
            created_at=datetime.now(UTC),
            role=role,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
    except ValidationError as problem:
        raise RequestError(f"A key's name is one line of 1 to 64 characters, not {name[:80]!r}.") from problem
    with _writing(path):
        keys = _read(path)
        if any(known.name == name for known in keys):
            raise RequestError(f"There is a key named '{name}' already. Choose another name, or remove that key first.")
        _write(path, (*keys, key))
    return secret


def remove_key(path: Path, name: str) -> None:
    """Forget a key: servers refuse it from now on. Raises MissingError for an unknown name."""
    with _writing(path):
        keys = _read(path)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys)
            raise MissingError(f"There is no key named '{name}' in {path}. It has: {known or 'none yet'}.")
        _write(path, left)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes with a file: when it was written, and which file it is."""
    try:
        told = path.stat() if path is not None else None
    except OSError:
        return None
    return (told.st_mtime_ns, told.st_ino) if told else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _writing(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except ValidationError as problem:
        raise DataError(
            f"The file of API keys {path} is damaged. Restore it from a backup, or delete it and create the keys anew."
        ) from problem


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    write_whole(path, KeyFile(keys=keys).model_dump_json(indent=2).encode())
    path.chmod(0o600)
