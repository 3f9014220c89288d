"""Log-probabilities under the starting model: computed once before training, and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from sonneteer.models.head import log_probs
from sonneteer.models.term_logprobs import sequence_sums
from sonneteer.training.checkpoint import save_tensors
from sonneteer.training.lessons import Lesson, Reading, parts, read


def sequence_log_probs(reading: Reading) -> torch.Tensor:
    """Log-probability of each sequence's learned tokens, (S,), differentiable."""
    forest = reading.part.forest
    return sequence_sums(log_probs(reading.hidden_ND, reading.head, forest.terms), forest.terms, forest.sequences)


@torch.no_grad()
def log_probs_of(network: PreTrainedModel, lessons: Sequence[Lesson], unique_tokens: int) -> list[tuple[float, ...]]:
    """The same as numbers, for each lesson, without gradient or dropout."""
    network.eval()
    found: dict[int, tuple[float, ...]] = {}
    numbered = {id(lesson): i for i, lesson in enumerate(lessons)}
    for part in parts(lessons, unique_tokens, network.device):
        sums = iter(sequence_log_probs(read(network, part)).tolist())
        for lesson in part.lessons:
            found[numbered[id(lesson)]] = tuple(next(sums) for _ in lesson.sequences)
    return [found[i] for i in range(len(lessons))]


def with_references(
    network: PreTrainedModel, lessons: Sequence[Lesson], unique_tokens: int, kept: Path
) -> list[Lesson]:
    """The lessons with what the starting model says of them, read from `kept` if a run computed it before."""
    if not kept.exists():
        values = [value for values in log_probs_of(network, lessons, unique_tokens) for value in values]
        save_tensors(kept, {"log_probs": torch.tensor(values, dtype=torch.float32)})
    known = iter(load_file(kept)["log_probs"].tolist())
    return [lesson._replace(references=tuple(next(known) for _ in lesson.sequences)) for lesson in lessons]
