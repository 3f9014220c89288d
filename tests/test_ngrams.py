"""The n-gram yardstick is a probability distribution, and agrees with a count by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from ngrams import DISCOUNT, NGrams

STREAM = np.array([0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 1, 0, 3, 3])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("context", [[0, 1, 2, 0], [3, 2, 3, 2], [1, 0, 1, 1]])
def test_probabilities_sum_to_one_after_any_context(order: int, context: list[int]) -> None:
    model = NGrams(STREAM, order, 4)
    total = sum(np.exp(model.log_probs(np.array([*context, word]))[-1]) for word in range(4))
    assert total == pytest.approx(1.0)


def test_a_bigram_is_what_a_count_by_hand_gives() -> None:
    pairs = set(zip(STREAM[:-1].tolist(), STREAM[1:].tolist(), strict=True))
    before = {word: len({a for a, b in pairs if b == word}) for word in range(4)}
    unigram = {word: (before[word] - DISCOUNT) / len(pairs) + DISCOUNT * 4 / len(pairs) / 4 for word in range(4)}
    # after 0 come 1, 1, 1 and 3: four times, two different words
    expected = (3 - DISCOUNT) / 4 + DISCOUNT * 2 / 4 * unigram[1]
    assert np.exp(NGrams(STREAM, 2, 4).log_probs(np.array([0, 1]))[-1]) == pytest.approx(expected)
