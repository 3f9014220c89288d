"""Learning from rewards: answers are drawn from the live weights, and compared with others to the same question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from sonneteer.chat import Options
from sonneteer.models.generate import LocalChat
from sonneteer.models.head import cross_entropy
from sonneteer.models.load import LanguageModel
from sonneteer.recipe.learning import RewardSettings
from sonneteer.records import Example, Rendered
from sonneteer.training.lessons import Lesson, Reading
from sonneteer.training.rewards import Reward


@dataclass(frozen=True)
class Grpo:
    """Group-relative policy optimisation (arXiv 2402.03300, section 4.1), one step for each set of answers.

    As every answer is learned from once, with the very weights that drew it, the ratio of equation 3 is 1 and nothing
    is clipped. Its divergence from the starting model is `training.anchor`, exact and not sampled. The loss is a mean
    over all drawn tokens (arXiv 2503.14476, section 3.3), so a long answer is not excused for its length.
    """

    model: LanguageModel
    """Draws the answers; its network is the one that learns."""
    reward: Reward
    settings: RewardSettings
    seed: int
    batch_size: int
    """Answers that are drawn at the same time."""

    needs_references: ClassVar[bool] = False

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """Drawn answers with their advantages for weights; at validation the likeliest answer alone."""
        if step == 0:
            answered = self._drawn(lessons, 1, Options(max_tokens=self.settings.max_answer_tokens))
            return [lesson._replace(rewards=(answers[0].worth,)) for lesson, answers in answered]
        options = Options(
            max_tokens=self.settings.max_answer_tokens,
            temperature=self.settings.temperature,
            seed=self.seed + step * 1_000_003,  # batches of a step take the seeds that follow
        )
        answered = self._drawn(lessons, self.settings.answers, options)
        tokens = sum(len(answer.ids) for _, answers in answered for answer in answers)
        return [self._compared(lesson, answers, len(lessons) / max(tokens, 1)) for lesson, answers in answered]

    def total(self, lessons: Sequence[Lesson]) -> float:
        """The number of questions."""
        return float(len(lessons))

    def loss(self, reading: Reading) -> torch.Tensor:
        """Sum of -advantage * log p over the drawn tokens, by the weights that `ready` gave them."""
        return cross_entropy(reading.hidden_ND, reading.head, reading.part.forest.terms)

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """Minus the sum of the rewards: what training raises is what stops it."""
        return -torch.tensor(sum(sum(lesson.rewards) for lesson in reading.part.lessons))

    def _drawn(self, lessons: Sequence[Lesson], count: int, options: Options) -> list[tuple[Lesson, list[_Drawn]]]:
        chat, renderer = LocalChat(self.model, self.batch_size), self.model.renderer
        examples = [lesson.example for lesson in lessons]
        prompts = [renderer.prompt_ids(example.prompt) for example in examples if example is not None]
        ids = iter(chat.continuations([prompt for prompt in prompts for _ in range(count)], options))
        return [
            (lesson, [self._judged(lesson.example, prompt, next(ids)) for _ in range(count)])
            for lesson, prompt in zip(lessons, prompts, strict=True)
        ]

    def _judged(self, example: Example | None, prompt: list[int], ids: list[int]) -> _Drawn:
        assert example is not None, "lessons for this objective hold their example"
        text = self.model.tokenizer.decode(ids, skip_special_tokens=True)
        return _Drawn(prompt, ids, float(self.reward(example, str(text))))

    def _compared(self, lesson: Lesson, answers: list[_Drawn], scale: float) -> Lesson:
        """Answers better than the group's mean are made likelier, worse ones less likely. Equal ones teach nothing."""
        worths = [answer.worth for answer in answers]
        mean, spread = fmean(worths), pstdev(worths)
        weights = [(worth - mean) / (spread + 1e-4) * scale for worth in worths]
        learned = [answer.rendered(weight) for answer, weight in zip(answers, weights, strict=True) if weight]
        return lesson._replace(sequences=learned or [answers[0].rendered(0.0)], rewards=tuple(worths))


@dataclass(frozen=True)
class _Drawn:
    prompt: list[int]
    ids: list[int]
    worth: float

    def rendered(self, weight: float) -> Rendered:
        return Rendered(self.prompt + self.ids, [0.0] * len(self.prompt) + [weight] * len(self.ids))
