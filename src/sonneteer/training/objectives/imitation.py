"""Imitation: answers and plain text as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from sonneteer.models.head import cross_entropy
from sonneteer.models.term_logprobs import spread_losses
from sonneteer.training.lessons import Lesson, Reading


@dataclass(frozen=True)
class Imitation:
    """Learn to give the answers as they stand: mean cross-entropy per learned token, in nats.

    A token counts by the weight of its message. The mean is over the whole batch, so it does not depend on how the
    batch is cut into micro-batches.
    """

    label_smoothing: float = 0.0
    """Share of each target that is spread over the whole vocabulary (arXiv 1512.00567, section 7)."""

    needs_references: ClassVar[bool] = False

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """Each sequence for itself: a long text need not fit into one micro-batch."""
        return [Lesson([sequence]) for lesson in lessons for sequence in lesson.sequences]

    def total(self, lessons: Sequence[Lesson]) -> float:
        """Sum of the loss weights: usually the number of learned tokens. Nothing predicts a first token."""
        return float(sum(sum(sequence.weights[1:]) for lesson in lessons for sequence in lesson.sequences))

    def loss(self, reading: Reading) -> torch.Tensor:
        """Weighted sum of -log p over the learned tokens, smoothed."""
        plain = self.validation_loss(reading)
        if not self.label_smoothing:
            return plain
        terms = reading.part.forest.terms
        spread = spread_losses(reading.hidden_ND, reading.head, terms)
        return (1 - self.label_smoothing) * plain + self.label_smoothing * (spread * terms.weights_M).sum()

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """Weighted sum of -log p over the learned tokens."""
        return cross_entropy(reading.hidden_ND, reading.head, reading.part.forest.terms)
