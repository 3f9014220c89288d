"""DPO and its relatives equal their papers' formulas, computed plainly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from sonneteer.recipe.learning import PreferenceSettings
from sonneteer.training.lessons import parts
from sonneteer.training.objectives import Dpo, Kto, Orpo
from sonneteer.training.references import with_references

from .plain import lengths, log_probs, pairs, same_as_plain, start_and_now, sums


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_dpo_is_equation_7_of_its_paper_with_conservative_smoothing(tmp_path: Path, smoothing: float) -> None:
    start, now = start_and_now()
    lessons = with_references(start, pairs(), 40, tmp_path / "kept.safetensors")

    def plain() -> torch.Tensor:  # arXiv 2305.18290, page 4; arXiv 2403.00409
        losses = []
        for lesson in pairs():
            ratio = sums(now, lesson.sequences) - sums(start, lesson.sequences).detach()
            z = 0.3 * (ratio[0] - ratio[1])
            losses.append(-(1 - smoothing) * torch.log(torch.sigmoid(z)) - smoothing * torch.log(torch.sigmoid(-z)))
        return torch.stack(losses).mean()

    same_as_plain(Dpo(PreferenceSettings(beta=0.3, label_smoothing=smoothing)), now, lessons, plain)


def test_ipo_is_equation_17_of_its_paper_on_means_per_token(tmp_path: Path) -> None:
    start, now = start_and_now()
    lessons = with_references(start, pairs(), 40, tmp_path / "kept.safetensors")

    def plain() -> torch.Tensor:  # arXiv 2310.12036, page 7
        losses = []
        for lesson in pairs():
            ratio = (sums(now, lesson.sequences) - sums(start, lesson.sequences).detach()) / lengths(lesson.sequences)
            losses.append((ratio[0] - ratio[1] - 1 / (2 * 0.3)) ** 2)
        return torch.stack(losses).mean()

    same_as_plain(Dpo(PreferenceSettings(loss="ipo", beta=0.3)), now, lessons, plain)


def test_simpo_is_equation_6_of_its_paper_and_needs_no_starting_model() -> None:
    _, now = start_and_now()

    def plain() -> torch.Tensor:  # arXiv 2405.14734, page 4
        means = [sums(now, lesson.sequences) / lengths(lesson.sequences) for lesson in pairs()]
        return torch.stack([-torch.log(torch.sigmoid(2.0 * a - 2.0 * b - 0.5)) for a, b in means]).mean()

    objective = Dpo(PreferenceSettings(loss="simpo", beta=2.0, margin=0.5))
    assert not objective.needs_references
    same_as_plain(objective, now, pairs(), plain)


def test_orpo_is_equations_6_and_7_of_its_paper() -> None:
    _, now = start_and_now()

    def plain() -> torch.Tensor:  # arXiv 2403.07691, page 4
        losses = []
        for lesson in pairs():
            means = sums(now, lesson.sequences) / lengths(lesson.sequences)
            odds = means.exp() / (1 - means.exp())
            losses.append(-means[0] - 0.3 * torch.log(torch.sigmoid(torch.log(odds[0] / odds[1]))))
        return torch.stack(losses).mean()

    same_as_plain(Orpo(PreferenceSettings(beta=0.3)), now, pairs(), plain)


def test_kto_is_equation_8_of_its_paper(tmp_path: Path) -> None:
    start, now = start_and_now()
    other = [lesson.sequences[0] for lesson in pairs(6)][1:]
    judged = [
        lesson._replace(sequences=[lesson.sequences[0], mismatched], labels=(i % 3 > 0, None))
        for i, (lesson, mismatched) in enumerate(zip(pairs(), other, strict=True))
    ]
    lessons = with_references(start, judged, 40, tmp_path / "kept.safetensors")

    def plain() -> torch.Tensor:  # arXiv 2402.01306, page 6
        with torch.no_grad():
            z = max(0.0, float((sums(now, other) - sums(start, other)).mean()))
        answers = [lesson.sequences[0] for lesson in judged]
        reward = 0.3 * (sums(now, answers) - sums(start, answers).detach() - z)
        liked = torch.tensor([i % 3 > 0 for i in range(len(judged))])
        return torch.where(liked, 1.5 * (1 - torch.sigmoid(reward)), 0.5 * (1 - torch.sigmoid(-reward))).mean()

    settings = PreferenceSettings(beta=0.3, liked_weight=1.5, disliked_weight=0.5)
    same_as_plain(Kto(settings, unique_tokens=40), now, lessons, plain)


def test_the_question_of_a_pair_is_computed_once() -> None:
    (lesson, *_) = pairs()
    (part,) = parts([lesson], 1000, torch.device("cpu"))
    chosen, rejected = lesson.sequences
    question = sum(weight == 0 for weight in chosen.weights)
    assert part.forest.unique_tokens <= len(chosen.ids) + len(rejected.ids) - question


def test_references_are_computed_once_and_kept(tmp_path: Path) -> None:
    start, now = start_and_now()
    kept = tmp_path / "kept.safetensors"
    first = with_references(start, pairs(), 40, kept)
    assert with_references(now, pairs(), 40, kept) == first
    for lesson in first:
        assert lesson.references == pytest.approx([log_probs(start, s).sum().item() for s in lesson.sequences])


def test_smoothing_where_nothing_reads_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="for the loss 'sigmoid' only"):
        PreferenceSettings(loss="ipo", label_smoothing=0.1)
