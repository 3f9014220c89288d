"""What training minimises. An objective is a small value: how a batch is normalised, and its loss on a forest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from sonneteer.models.forest import Forest
from sonneteer.models.logprobs import loss_sum
from sonneteer.records import Rendered


class Objective(Protocol):
    """One way to learn from rendered examples."""

    def total(self, sequences: Sequence[Rendered]) -> float:
        """What the sum of a batch's losses is divided by, known before the batch is cut into micro-batches."""
        ...

    def loss(self, network: PreTrainedModel, forest: Forest) -> torch.Tensor:
        """Sum of the losses of a forest, differentiable."""
        ...


class Imitation:
    """Learn to give the answers as they stand: mean cross-entropy per learned token, in nats.

    The mean is over the whole batch, so it does not depend on how the batch is cut into micro-batches.
    """

    def total(self, sequences: Sequence[Rendered]) -> float:
        """Sum of the loss weights: the number of learned tokens. Nothing predicts a first token."""
        return float(sum(sum(sequence.weights[1:]) for sequence in sequences))

    def loss(self, network: PreTrainedModel, forest: Forest) -> torch.Tensor:
        """Weighted sum of -log p over the learned tokens."""
        return loss_sum(network, forest)
