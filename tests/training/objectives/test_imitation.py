"""Imitation weighs each token by its message, exactly as the plain computation does."""

from __future__ import annotations

import pytest
import torch

from sonneteer.models.render import TemplateRenderer
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Example, Message, Rendered
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import lessons_of
from sonneteer.training.objectives import Imitation

from ...models.networks import network, tokenizer
from .plain import same_as_plain


def conversation(*weights: float) -> Example:
    said = []
    for i, weight in enumerate(weights):
        said.append(Message(role="user", text=f"Where is order {i}?"))
        said.append(Message(role="assistant", text="On its way." if i % 2 else "Here it is.", weight=weight))
    return Example(messages=tuple(said))


def test_the_weights_of_messages_reach_loss_and_gradients_exactly() -> None:
    now = network("qwen3").requires_grad_(True)
    examples = [conversation(1.0, 0.25), conversation(0.0, 3.0), conversation(0.01), conversation(1.0, 0.5, 2.0)]
    lessons = lessons_of(examples, TemplateRenderer(tokenizer(), 512), "imitation")
    sequences = [sequence for lesson in lessons for sequence in lesson.sequences]
    assert {weight for sequence in sequences for weight in sequence.weights} == {0.0, 0.01, 0.25, 0.5, 1.0, 2.0, 3.0}

    def surprise(sequence: Rendered) -> torch.Tensor:
        ids = torch.tensor([sequence.ids])
        logits = now(input_ids=ids, use_cache=False).logits[0, :-1]
        lost = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        return (lost * torch.tensor(sequence.weights[1:])).sum()

    def plain() -> torch.Tensor:
        weight = sum(sum(sequence.weights[1:]) for sequence in sequences)
        return torch.stack([surprise(sequence) for sequence in sequences]).sum() / weight

    same_as_plain(Imitation(), now, lessons, plain)


def test_small_weights_alone_give_the_same_mean_as_large_ones() -> None:
    settings = TrainingSettings(precision="float32", method="full")
    learner = Learner(network("qwen3").requires_grad_(True), Imitation(), settings)
    small, large = (
        learner.step(lessons_of([conversation(weight)], TemplateRenderer(tokenizer(), 512), "imitation"), rate=0.0)
        for weight in (0.001, 1.0)
    )
    assert small.loss == pytest.approx(large.loss, rel=1e-5)
    assert small.gradient_norm == pytest.approx(large.gradient_norm, rel=1e-4)
