"""One training attempt, and the machine it ran on."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sonneteer.records.interval import Interval
from sonneteer.records.record import Record


class Machine(Record):
    """Where something ran."""

    processor: str
    cores: int
    memory_gb: float
    device: str = "cpu"
    software: dict[str, str] = Field(default_factory=dict)


RunStatus = Literal["running", "interrupted", "failed", "done"]


class PrivacySpent(Record):
    """What a differentially private training promises: how little the model depends on any single unit."""

    epsilon: float
    delta: float
    noise: float
    """Standard deviation of the noise, in clips."""
    clip: float
    sampling_share: float
    """Chance of each unit to take part in a step."""
    steps: int
    unit: Literal["example", "person"]
    units: int
    largest_multiplicity: int | None = None
    """Training examples of the person who has most of them; None where no example names one."""


class Run(Record):
    """One training attempt."""

    id: str
    name: str
    status: RunStatus
    recipe: dict[str, Any]
    """The settings that decide the result, defaults filled in."""
    dataset_id: str
    base: str
    base_fingerprint: str
    machine: Machine
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float = 0.0
    """Time spent training, over all attempts."""
    privacy: PrivacySpent | None = None
    """Where the training was differentially private."""
    check_seconds: float = 0.0
    """Of the proof, before the first step, that shared prefixes give the plain loss."""
    steps: int = 0
    best_step: int | None = None
    averaged_steps: tuple[int, ...] = ()
    """Steps whose weights' mean was kept; empty where it is the weights of the best step."""
    best_validation_loss: float | None = None
    first_validation_loss: float | None = None
    """Before the first step: what the base model loses on the validation split, in nats per learned token."""
    train_loss: float | None = None
    """The same loss of the kept weights on examples that were learned, as many as in the validation split."""
    gap_interval: Interval | None = None
    """Where the generalisation gap lies, by chance of these examples, with 95 % confidence."""
    tokens: int = 0
    """Tokens of all steps as a plain padded trainer would have computed them, padding aside."""
    unique_tokens: int = 0
    """Tokens really computed: each shared prefix of a batch counts once."""
    learned_tokens: int = 0
    peak_memory_gb: float = 0.0
    expected_memory_gb: float = 0.0
    """What the formula of `training/plan.py` said before: past runs correct the next plans."""
    work_tflop: float = 0.0
    """Floating-point operations by the same formula, in 10^12; with `seconds` the speed of this machine."""
    parameters: int = 0
    trained_parameters: int = 0
    problem: str = ""

    @property
    def generalisation_gap(self) -> float | None:
        """By how much the kept model loses more on what it did not learn than on what it did. Large is overfitted."""
        if self.best_validation_loss is None or self.train_loss is None:
            return None
        return self.best_validation_loss - self.train_loss

    @property
    def is_gap_by_chance(self) -> bool:
        """Whether other examples may as well have shown no gap."""
        return self.gap_interval is not None and self.gap_interval.low <= 0
