"""Distillation: a larger model's opinion of every next token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from sonneteer.errors import ModelError, RecipeError
from sonneteer.models.load import LanguageModel, open_model
from sonneteer.models.term_logprobs import Guide, divergences
from sonneteer.recipe.learning import DistillationSettings
from sonneteer.training.lessons import Lesson, Reading, read
from sonneteer.training.objectives.imitation import Imitation


@dataclass(frozen=True)
class Distillation:
    """Follow a teacher's distribution on the answers' tokens (arXiv 1503.02531, section 2): mean loss per token."""

    teacher: PreTrainedModel
    settings: DistillationSettings

    needs_references: ClassVar[bool] = False

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """Each sequence for itself."""
        return Imitation().ready(network, lessons, step)

    def total(self, lessons: Sequence[Lesson]) -> float:
        """The number of learned tokens."""
        return Imitation().total(lessons)

    def loss(self, reading: Reading) -> torch.Tensor:
        """KL(teacher || network) and imitation, by their shares. The KL bears the square of the temperature."""
        terms, temperature = reading.part.forest.terms, self.settings.temperature
        told = divergences(reading.hidden_ND, reading.head, self._guide(reading), terms, temperature)
        loss = self.settings.share * temperature**2 * (told * terms.weights_M).sum()
        if self.settings.share < 1:
            loss = loss + (1 - self.settings.share) * Imitation().loss(reading)
        return loss

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """The same."""
        return self.loss(reading)

    @torch.no_grad()
    def _guide(self, reading: Reading) -> Guide:
        told = read(self.teacher, reading.part)
        return Guide(told.hidden_ND, told.head)


def open_teacher(settings: DistillationSettings, student: LanguageModel, folder: Path) -> PreTrainedModel:
    """The teacher's network. Raises RecipeError where it reads other tokens."""
    assert settings.teacher is not None, "the recipe says so"
    try:
        teacher = open_model(settings.teacher, folder)
    except ModelError as problem:
        raise ModelError(str(problem).replace("base.model", "training.distillation.teacher")) from problem
    ours, theirs = student.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
    if ours != theirs:
        token = min(token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token))
        raise RecipeError(
            f"training.distillation.teacher: {settings.teacher} reads other tokens than {student.name} (for example "
            f"{token!r} is {theirs.get(token, 'none')} there and {ours.get(token, 'none')} here), so their opinions "
            "cannot be compared. Choose a teacher of the same family."
        )
    return teacher.network.requires_grad_(False).eval()
