"""When memory runs out, training goes on in smaller parts."""

from __future__ import annotations

import pytest
import torch

from sonneteer.errors import MachineError
from sonneteer.records import Rendered
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, Reading
from sonneteer.training.objectives import Imitation

from ..models.networks import network
from .test_loop import SETTINGS, material


class Cramped(Imitation):
    """A loss on a machine with memory for so many rows."""

    def __init__(self, rows: int) -> None:
        object.__setattr__(self, "rows", rows)

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        if reading.part.forest.unique_tokens > self.rows:
            raise torch.OutOfMemoryError("no room")
        return super().validation_loss(reading)


def unlike() -> list[Lesson]:
    """Lessons that share nothing."""
    sequences = [sequence for lesson in material().train for sequence in lesson.sequences]
    return [Lesson([Rendered([i, *s.ids], [0.0, *s.weights])]) for i, s in enumerate(sequences)]


def test_the_step_is_the_same_in_smaller_parts() -> None:
    lessons = unlike()
    told, said = [], []
    for rows in (10_000, 150):
        model = network("llama").requires_grad_(True)
        settings = SETTINGS.model_copy(update={"micro_batch_tokens": 512, "dropout": 0.0})
        learner = Learner(model, Cramped(rows), settings, said.append)
        told.append((learner.step(lessons, 1e-3), learner.validation_loss(lessons)))
    assert len(said) == 2
    assert "128 unique tokens at once; the result stays the same" in said[-1]
    assert told[0][0].loss == pytest.approx(told[1][0].loss, rel=1e-5)
    assert told[0][0].gradient_norm == pytest.approx(told[1][0].gradient_norm, rel=1e-5)
    assert told[0][1] == pytest.approx(told[1][1], rel=1e-5)


@pytest.mark.parametrize("chance", [{"dropout": 0.1}, {"embedding_noise": 5.0}], ids=["dropout", "noise"])
def test_where_chance_is_drawn_for_each_part_nobody_promises_the_same_result(chance: dict[str, float]) -> None:
    said: list[str] = []
    settings = SETTINGS.model_copy(update={"micro_batch_tokens": 512, "dropout": 0.0, **chance})
    Learner(network("llama").requires_grad_(True), Cramped(150), settings, said.append).step(unlike(), 1e-3)
    assert "dropout and noise fall otherwise now" in said[-1]


def test_without_memory_for_a_single_example_the_settings_to_change_are_named() -> None:
    learner = Learner(network("llama").requires_grad_(True), Cramped(3), SETTINGS, [].append)
    with pytest.raises(MachineError, match=r"data\.max_tokens"):
        learner.step(material().train, 1e-3)


def test_other_errors_are_not_mistaken_for_a_lack_of_memory() -> None:
    class Broken(Imitation):
        def validation_loss(self, reading: Reading) -> torch.Tensor:
            raise RuntimeError("shapes do not fit")

    learner = Learner(network("llama").requires_grad_(True), Broken(), SETTINGS, [].append)
    with pytest.raises(RuntimeError, match="shapes"):
        learner.step(material().train, 1e-3)
