"""GRPO draws from the live weights, compares within the group, and raises the reward."""

from __future__ import annotations

from statistics import mean, pstdev

import pytest
import torch

from sonneteer.models.load import LanguageModel
from sonneteer.recipe.learning import RewardSettings
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Example, Message
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, lessons_of, parts, read
from sonneteer.training.objectives import Grpo

from ...models.networks import network, tokenizer
from .plain import log_probs

SETTINGS = RewardSettings(kind="python", answers=6, max_answer_tokens=5)


def is_long(example: Example, answer: str) -> float:
    """Likes the letter e."""
    return float(answer.lower().count("e"))


def objective(reward: object = is_long) -> tuple[Grpo, list[Lesson]]:
    model = LanguageModel("tiny", network("qwen3").requires_grad_(True), tokenizer(), "none")
    examples = [
        Example(messages=(Message(role="user", text=text), Message(role="assistant", text="Yes.")))
        for text in ("Where is my order?", "Hello", "Where is it?")
    ]
    return Grpo(model, reward, SETTINGS, 0, 4), lessons_of(examples, model.renderer, "grpo")  # type: ignore[arg-type]


def test_answers_are_weighted_by_how_much_better_than_their_group_they_are() -> None:
    grpo, lessons = objective()
    network = grpo.model.network
    ready = grpo.ready(network, lessons, step=1)
    drawn = {tuple(lesson.rewards) for lesson in ready}
    assert len(drawn) > 1
    for lesson in ready:
        worths = list(lesson.rewards)
        advantages = [(worth - mean(worths)) / (pstdev(worths) + 1e-4) for worth in worths]  # arXiv 2402.03300, page 14
        weights = [max(sequence.weights, key=abs) for sequence in lesson.sequences]
        moved = [advantage for advantage in advantages if advantage]
        if not moved:  # all answers to this prompt are worth the same: there is nothing to learn
            assert not any(weights)
            continue
        scale = weights[0] / moved[0]
        assert weights == pytest.approx([advantage * scale for advantage in moved])
    (part,) = parts(ready, 10_000, network.device)
    loss = grpo.loss(read(network, part)) / grpo.total(ready)
    plain = -sum(
        max(sequence.weights, key=abs) * log_probs(network, sequence).sum()
        for lesson in ready
        for sequence in lesson.sequences
    )
    torch.testing.assert_close(loss, plain / len(ready))


def test_the_same_step_draws_the_same_answers_and_another_step_others() -> None:
    grpo, lessons = objective()
    first, again, other = (grpo.ready(grpo.model.network, lessons, step) for step in (1, 1, 2))
    assert first == again != other


def test_a_group_without_a_difference_teaches_nothing() -> None:
    grpo, lessons = objective(lambda example, answer: 1.0)
    ready = grpo.ready(grpo.model.network, lessons, step=1)
    assert all(lesson.learned_tokens == 0 for lesson in ready)
    learner = Learner(grpo.model.network, grpo, TrainingSettings(precision="float32", method="full"))
    done = learner.step(lessons, 0.1)
    assert (done.loss, done.gradient_norm, done.reward) == (0.0, 0.0, 1.0)


def test_the_validation_loss_is_minus_the_reward_of_the_likeliest_answer() -> None:
    grpo, lessons = objective(lambda example, answer: 3.0)
    learner = Learner(grpo.model.network, grpo, TrainingSettings(precision="float32", method="full"))
    assert learner.validation_loss(lessons) == -3.0


def test_steps_raise_the_reward() -> None:
    grpo, lessons = objective()
    settings = TrainingSettings(precision="float32", method="full", weight_decay=0.0)
    learner = Learner(grpo.model.network, grpo, settings)
    rewards = [learner.step(lessons, 5e-3, number).reward or 0.0 for number in range(1, 21)]
    assert mean(rewards[-4:]) > mean(rewards[:4]) + 0.5
