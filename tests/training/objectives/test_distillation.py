"""Distillation is the KL divergence from a teacher that reads the same tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import kl_div

from sonneteer.errors import ModelError, RecipeError
from sonneteer.models.load import open_model
from sonneteer.models.scratch import new_tokenizer
from sonneteer.recipe.learning import DistillationSettings
from sonneteer.records import Rendered
from sonneteer.training.objectives import Distillation
from sonneteer.training.objectives.distillation import open_teacher

from ...models.networks import network, saved
from .plain import log_probs, pairs, same_as_plain, start_and_now


def logits(model: torch.nn.Module, sequence: Rendered) -> torch.Tensor:
    return model(input_ids=torch.tensor([sequence.ids])).logits[0, :-1][torch.tensor(sequence.weights[1:]) != 0]


@pytest.mark.parametrize(("share", "temperature"), [(1.0, 1.0), (0.7, 2.0)])
def test_the_loss_is_hinton_s(share: float, temperature: float) -> None:
    _, now = start_and_now()
    teacher = network("llama", seed=7).requires_grad_(False)
    sequences = [sequence for lesson in pairs() for sequence in lesson.sequences]

    def plain() -> torch.Tensor:  # arXiv 1503.02531, page 3
        ours = torch.cat([logits(now, s) for s in sequences]) / temperature
        theirs = torch.cat([logits(teacher, s) for s in sequences]) / temperature
        soft = kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), reduction="batchmean", log_target=True)
        hard = -torch.cat([log_probs(now, s) for s in sequences]).mean()
        return share * temperature**2 * soft + (1 - share) * hard

    settings = DistillationSettings(share=share, temperature=temperature)
    same_as_plain(Distillation(teacher, settings), now, pairs(), plain)


def test_a_teacher_of_another_family_is_refused_with_a_token_that_differs(tmp_path: Path) -> None:
    student = open_model("base", saved("llama", tmp_path / "base").parent)
    saved("qwen3", tmp_path / "teacher")
    teacher = open_teacher(DistillationSettings(teacher="teacher"), student, tmp_path)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    new_tokenizer(["Other words make other tokens, of course."] * 5, 300).save_pretrained(tmp_path / "teacher")
    with pytest.raises(RecipeError, match=r"reads other tokens than base .* cannot be compared"):
        open_teacher(DistillationSettings(teacher="teacher"), student, tmp_path)
    with pytest.raises(ModelError, match=r"training\.distillation\.teacher: there is no 'gone'"):
        open_teacher(DistillationSettings(teacher="gone"), student, tmp_path)
