"""What the training benchmark learns: random tokens with the lengths and shared beginnings of real work.

Needs numpy alone, so that every system reads the same examples in an environment of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

VOCABULARY = 49152
END = 2  # ends every answer


class Row(NamedTuple):
    """A prompt, its answer, what the answer's tokens weigh in the loss, and an answer that is worse."""

    prompt: list[int]
    answer: list[int]
    weight: float = 1.0
    rejected: list[int] | None = None


class Text:
    """Random tokens of a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def tokens(self, low: int, high: int | None = None) -> list[int]:
        """Between `low` and `high` tokens."""
        count = low if high is None else int(self.rng.integers(low, high + 1))
        return self.rng.integers(10, VOCABULARY, count).tolist()

    def answer(self, low: int, high: int | None = None) -> list[int]:
        """The same, with an end."""
        return [*self.tokens(low - 1, None if high is None else high - 1), END]


def support(examples: int) -> list[Row]:
    """W1: customer service under one system prompt of 600 tokens."""
    text = Text()
    system = text.tokens(600)
    rows = []
    for _ in range(examples):
        length = int(text.rng.integers(60, 201))
        question = max(10, int(length * 0.4))
        rows.append(Row(system + text.tokens(question), text.answer(length - question)))
    return rows


def unshared(examples: int) -> list[Row]:
    """W2: nothing in common, 50 to 600 tokens each."""
    text = Text()
    rows = []
    for _ in range(examples):
        length = int(np.clip(text.rng.lognormal(5.2, 0.6), 50, 600))
        question = max(10, int(length * text.rng.uniform(0.2, 0.5)))
        rows.append(Row(text.tokens(question), text.answer(length - question)))
    return rows


def preferences(pairs: int) -> list[Row]:
    """W3: pairs of answers to prompts of 400 tokens."""
    text = Text()
    return [Row(text.tokens(400), text.answer(50, 200), 1.0, text.answer(50, 200)) for _ in range(pairs)]


def conversations(examples: int) -> list[Row]:
    """W4: conversations of four turns under one system prompt of 200 tokens, an example for each answer."""
    text = Text()
    system = text.tokens(200)
    rows: list[Row] = []
    while len(rows) < examples:
        history = system
        for _ in range(4):
            history = history + text.tokens(20, 80)
            answer = text.answer(60, 160)
            rows.append(Row(history, answer))
            history = history + answer
    return rows[:examples]


def sampled(groups: int) -> list[Row]:
    """W5: groups of eight sampled answers, weighted by their advantage, to prompts of 400 tokens."""
    text = Text()
    rows = []
    for _ in range(groups):
        prompt, rewards = text.tokens(400), text.rng.normal(size=8)
        for advantage in (rewards - rewards.mean()) / rewards.std():
            rows.append(Row(prompt, text.answer(80, 240), float(advantage)))
    return rows


WORKLOADS = {
    "W1/16": lambda: support(16),
    "W1/8": lambda: support(8),
    "W2": lambda: unshared(16),
    "W3": lambda: preferences(4),
    "W4": lambda: conversations(8),
    "W5": lambda: sampled(2),
}
MEANINGS = {
    "W1/16": "support, one system prompt of 600 tokens, 16 examples",
    "W1/8": "the same, 8 examples",
    "W2": "nothing shared, 16 examples of 50 to 600 tokens",
    "W3": "DPO, 4 pairs, prompts of 400 tokens",
    "W4": "multi-turn, an example for each of 8 answers",
    "W5": "2 groups of 8 sampled answers, weighted by advantage",
}
