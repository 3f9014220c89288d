"""What every record has in common: immutable, strict about its fields, named by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """One kind of paper: immutable, strict about its fields, comparable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same with other values, without what was computed from the old ones and kept, such as an id."""
        copied = super().model_copy(update=update, deep=deep)
        for kept in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[kept]
        return copied

    def content_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name this content, whatever process computes them."""
        return fingerprint_of(self.model_dump(mode="json"))


def fingerprint_of(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, cut to sixteen hexadecimal digits (64 bits)."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]
