"""The plain computation that objectives are compared with: unmodified transformers, one sequence at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import PreTrainedModel

from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, parts, read
from sonneteer.training.objectives import Objective

from ...models.networks import SHAPE, network

CLOSE = 2e-5  # relative; what float32 sums in another order may differ by


def pairs(count: int = 5) -> list[Lesson]:
    """Pairs of answers of different lengths; some questions begin alike, and some answers too."""
    rng = random.Random(1)

    def words(count: int) -> list[int]:
        return [rng.randrange(4, SHAPE["vocab_size"]) for _ in range(count)]

    lessons = []
    for i in range(count):
        question, start = [5, 6, *words(i % 3 + 1)], words(i % 2)
        answers = [start + words(rng.randint(1, 9)) for _ in range(2)]
        lessons.append(Lesson([Rendered(question + a, [0.0] * len(question) + [1.0] * len(a)) for a in answers]))
    return lessons


def log_probs(model: PreTrainedModel, sequence: Rendered) -> torch.Tensor:
    """Of the learned tokens."""
    ids = torch.tensor([sequence.ids])
    told = model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    return told.gather(1, ids[0, 1:, None])[:, 0][torch.tensor(sequence.weights[1:]) != 0]


def sums(model: PreTrainedModel, sequences: Sequence[Rendered]) -> torch.Tensor:
    return torch.stack([log_probs(model, sequence).sum() for sequence in sequences])


def lengths(sequences: Sequence[Rendered]) -> torch.Tensor:
    return torch.tensor([sum(sequence.weights) for sequence in sequences])


def start_and_now() -> tuple[PreTrainedModel, PreTrainedModel]:
    """The starting model, and one that has been trained a little."""
    now = network("qwen3").requires_grad_(True)
    with torch.no_grad():
        for parameter in now.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network("qwen3"), now


def same_as_plain(
    objective: Objective, now: PreTrainedModel, lessons: list[Lesson], plain: Callable[[], torch.Tensor]
) -> None:
    """Loss and gradients, the batch cut into micro-batches, are those of the plain mean loss."""
    expected = plain()
    theirs = torch.autograd.grad(expected, list(now.parameters()))
    ready = objective.ready(now, lessons, 1)
    total = objective.total(ready)
    cut = list(parts(ready, 25, now.device))
    assert len(cut) > 1
    loss = torch.stack([objective.loss(read(now, part)) / total for part in cut]).sum()
    ours = torch.autograd.grad(loss, list(now.parameters()))
    assert loss.item() == pytest.approx(expected.item(), rel=CLOSE, abs=1e-7)
    for mine, other in zip(ours, theirs, strict=True):
        assert float((mine - other).norm()) <= 1e-4 * float(other.norm()) + 1e-6
    settings = TrainingSettings(precision="float32", method="full", micro_batch_tokens=25)
    validated = Learner(now, objective, settings).validation_loss(lessons)
    assert validated == pytest.approx(expected.item(), rel=CLOSE, abs=1e-7)
