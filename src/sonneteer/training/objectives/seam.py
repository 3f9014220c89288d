"""What the training loop asks of an objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from sonneteer.training.lessons import Lesson, Reading


class Objective(Protocol):
    """One way to learn from lessons."""

    @property
    def needs_references(self) -> bool:
        """Whether it compares with the starting model, whose log-probabilities the lessons then hold."""
        ...

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """A whole batch as it is learned at a step (from 1; validation is step 0), before it is cut into parts."""
        ...

    def total(self, lessons: Sequence[Lesson]) -> float:
        """What the sum of a batch's losses is divided by."""
        ...

    def loss(self, reading: Reading) -> torch.Tensor:
        """Sum of the losses of a part, differentiable."""
        ...

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """The same where the training is watched: without what only helps against overfitting."""
        ...
