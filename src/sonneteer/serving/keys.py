"""API keys: who may ask. Names and hashes are kept; a key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from sonneteer.errors import RequestError
from sonneteer.records import Key, KeyRole
from sonneteer.serving.follower import Follower
from sonneteer.store import KeyRing

PREFIX = "sk-sonneteer-"


class Keys:
    """The keys that open a server."""

    def __init__(self, keys: Sequence[Key] = (), ring: KeyRing | None = None) -> None:
        """With a ring, these keys are replaced by its own as soon as those change."""
        self._keys = tuple(keys)
        self._ring = ring
        self._follower = Follower(self._look, lambda: "The API keys stay as they were.") if ring is not None else None

    @classmethod
    def of(cls, ring: KeyRing) -> Keys:
        """The keys of a workspace, now and as they change."""
        return cls(ring.all(), ring)

    @property
    def names(self) -> tuple[str, ...]:
        """Whose keys they are."""
        return tuple(key.name for key in self._keys)

    def named(self, name: str) -> Key | None:
        """The key of this name."""
        return next((key for key in self._keys if key.name == name), None)

    def key_of(self, secret: str) -> Key | None:
        """The key that this is. Takes as long for a wrong one as for a right one."""
        digest = _digest(secret)
        matches = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches else None

    def close(self) -> None:
        """Follow the workspace's keys no longer."""
        if self._follower is not None:
            self._follower.close()

    def _look(self) -> None:
        """A running server learns of keys that were added or revoked. A database that is away changes nothing."""
        if self._ring is not None:
            self._keys = self._ring.all()


def create_key(
    ring: KeyRing,
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
    ring.add(key)
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
