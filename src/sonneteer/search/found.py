"""What a search found, as it is kept. Reading it loads no Optuna."""

from __future__ import annotations

import statistics
from datetime import datetime
from typing import Any

from sonneteer.records import Record


class Finalist(Record):
    """One of the best trials, trained again with other seeds."""

    settings: dict[str, Any]
    losses: tuple[float, ...]
    """One for each seed."""
    work_tflop: float
    trained_parameters: int

    @property
    def mean(self) -> float:
        """Mean loss over the seeds."""
        return statistics.fmean(self.losses)

    @property
    def standard_error(self) -> float:
        """Of the mean; 0 where there is one seed alone."""
        return statistics.stdev(self.losses) / len(self.losses) ** 0.5 if len(self.losses) > 1 else 0.0


class Attempt(Record):
    """One trial."""

    number: int
    settings: dict[str, Any]
    loss: float | None
    """None where it was stopped early."""


class SearchReport(Record):
    """Everything that a search found out."""

    name: str
    dataset_id: str
    created_at: datetime
    attempts: tuple[Attempt, ...]
    control: tuple[Attempt, ...] = ()
    """Settings drawn by chance, as many."""
    importance: dict[str, float]
    """Share of the loss's variation that each setting explains; empty with too few trials."""
    finalists: tuple[Finalist, ...]
    chosen: Finalist
    own: dict[str, Any]
    """The recipe's own settings: the first trial."""

    @property
    def own_loss(self) -> float | None:
        """What the recipe as it stood came to, with one seed."""
        return self.attempts[0].loss if self.attempts else None
