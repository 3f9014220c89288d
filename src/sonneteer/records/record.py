"""What every record has in common: immutable, strict about its fields, named by its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """One kind of paper: immutable, strict about its fields, comparable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name this content, whatever process computes them."""
        return fingerprint_of(self.model_dump(mode="json"))


def fingerprint_of(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, cut to sixteen hexadecimal digits (64 bits)."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]
