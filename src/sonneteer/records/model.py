"""A trained model with its lineage, and the proof that what is served is what was trained."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sonneteer.records.record import Record


class Check(Record):
    """One thing that was proven, or not."""

    name: str
    is_passed: bool
    says: str


class Certificate(Record):
    """The proof that what is served is what was trained."""

    model_id: str
    created_at: datetime
    checks: tuple[Check, ...]
    files: dict[str, str]
    """SHA-256 of each of the model's files."""

    @property
    def is_valid(self) -> bool:
        """Whether all was proven."""
        return all(check.is_passed for check in self.checks)


Stage = Literal["candidate", "champion", "retired"]


class ModelVersion(Record):
    """A trained model with its lineage."""

    id: str
    name: str
    number: int
    base: str
    base_fingerprint: str
    folder: str
    """Where the adapter or the weights lie, below the workspace."""
    is_adapter: bool
    run_id: str
    dataset_id: str
    report_id: str | None = None
    certificate_file: str | None = None
    """The certificate, in the store."""
    stage: Stage = "candidate"
    retrain_because: str = ""
    """Why it should be trained again, such as a person's wish to be forgotten."""
    created_at: datetime
