"""What is kept of an API key."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sonneteer.records.record import Record, fingerprint_of

KeyRole = Literal["admin", "client", "reviewer"]
"""A client asks for answers, a reviewer says what is good, an admin may do all, and read the figures."""


class Key(Record):
    """Who may ask, and how much. The key itself is known to nobody but whom it was shown when it was made."""

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: datetime
    role: KeyRole = "client"
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)

    @property
    def digest(self) -> str:
        """Stands for the key where it must not be known whose it is: another digest than the one that opens doors."""
        return fingerprint_of(["key", self.sha256])
