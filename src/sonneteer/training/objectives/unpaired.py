"""Learning from answers that people liked or disliked, without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from sonneteer.recipe.learning import PreferenceSettings
from sonneteer.training.lessons import Lesson, Reading
from sonneteer.training.references import log_probs_of, sequence_log_probs


@dataclass(frozen=True)
class Kto:
    """Kahneman-Tversky optimisation (arXiv 2402.01306): mean loss per judged answer."""

    settings: PreferenceSettings
    unique_tokens: int
    """How many are computed at once."""

    needs_references: ClassVar[bool] = True

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """The judged answers, with the batch's estimate of how far the model has gone from the starting one.

        The estimate is the mean log-ratio of answers to other questions, at least 0, and is not learned (section 4.2).
        """
        others = [Lesson([lesson.sequences[-1]], references=lesson.references[-1:]) for lesson in lessons]
        now = [value for values in log_probs_of(network, others, self.unique_tokens) for value in values]
        before = [lesson.references[0] for lesson in others]
        baseline = max(0.0, sum(now) / len(now) - sum(before) / len(before))
        return [
            Lesson(lesson.sequences[:-1], lesson.labels[:-1], lesson.references[:-1], baseline) for lesson in lessons
        ]

    def total(self, lessons: Sequence[Lesson]) -> float:
        """The number of judged answers."""
        return float(sum(len(lesson.sequences) for lesson in lessons))

    def loss(self, reading: Reading) -> torch.Tensor:
        """Equation 8, as weight - value: liked answers shall rise above the baseline, disliked ones fall below."""
        lessons = reading.part.lessons
        now_S = sequence_log_probs(reading)
        facts = [
            (before, lesson.baseline, 1.0 if is_liked else -1.0)
            for lesson in lessons
            for before, is_liked in zip(lesson.references, lesson.labels, strict=True)
        ]
        before_S, baseline_S, sign_S = torch.tensor(facts, device=now_S.device).unbind(1)
        weight_S = torch.where(sign_S > 0, self.settings.liked_weight, self.settings.disliked_weight)
        value_S = torch.sigmoid(self.settings.beta * sign_S * (now_S - before_S - baseline_S))
        return (weight_S * (1 - value_S)).sum()

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """The same."""
        return self.loss(reading)
