"""The noise floor of drawn answers: how much a figure changes when a model answers the same questions again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from sonneteer.chat import Answer, Chat, Options, Piece
from sonneteer.evaluation.ask import Arm, Reply, ask
from sonneteer.evaluation.scorers import SCORERS, Scorer, score
from sonneteer.recipe.sections import EvaluationSettings
from sonneteer.records import Example, Prompt


class _Drawn:
    """A model's answers alone: how likely it finds others does not change with the draw."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """What the model draws."""
        return self._chat.answer(prompts, options)

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The same, piece by piece."""
        return self._chat.stream(prompt, options)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of a prompt."""
        return self._chat.count_tokens(prompt)


def decode_noise(
    tuned: Arm, examples: Sequence[Example], settings: EvaluationSettings, metrics: Sequence[str], journal: Path
) -> dict[str, float]:
    """By metric: two runs that draw their answers differ by less than this, as often as the confidence says."""
    if not settings.noise_draws:
        return {}
    draws = []
    for number in range(settings.noise_draws):
        options = Options(
            max_tokens=settings.max_answer_tokens, temperature=settings.noise_temperature, seed=number * 1_000_003
        )
        arm = Arm(f"tuned, draw {number + 1}", _Drawn(tuned.chat), tuned.version)
        draws.append(ask(arm, examples, options, journal, settings.batch_size, lambda count: None))
    scorers = {name: SCORERS[name] for name in metrics if not SCORERS[name].needs_likelihood}
    return {name: noise_of(scorer, examples, draws, settings.confidence) for name, scorer in scorers.items()}


def noise_of(scorer: Scorer, examples: Sequence[Example], draws: Sequence[Sequence[Reply]], confidence: float) -> float:
    """From the spread of each example's own scores: the bound of the difference between two single runs."""
    scores = [score(scorer, examples, replies) for replies in draws]
    spread = np.var([one.values for one in scores], axis=0, ddof=1)
    weights = np.mean([one.weights for one in scores], axis=0)
    if not weights.any():
        return 0.0
    deviation = math.sqrt(float((weights**2 * spread).sum())) / float(weights.sum())
    return float(norm.ppf((1 + confidence) / 2)) * math.sqrt(2) * deviation
