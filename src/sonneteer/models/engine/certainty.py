"""How sure a model is of an answer: the mean probability (geometric) that it gave the tokens that it wrote.

Every fourth token is looked at, since each look costs a pass over the vocabulary.

Shape letters: B answers, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LOOKED_AT = 4  # one token in so many


class Certainty:
    """Grows with an answer."""

    def __init__(self) -> None:
        self._tokens = self._looks = 0
        self._log_probs = 0.0

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where nothing was written."""
        return math.exp(self._log_probs / self._looks) if self._looks else None

    def is_due(self) -> bool:
        """Whether the next token is looked at. The first always is."""
        self._tokens += 1
        return self._tokens % LOOKED_AT == 1

    def note(self, log_prob: float) -> None:
        """How likely the model found a token: natural logarithm."""
        self._log_probs += log_prob
        self._looks += 1


def look(logits_BV: Tensor, tokens: Sequence[int], certainties: Sequence[Certainty]) -> None:
    """Note how likely the model itself finds each answer's next token, whatever that was drawn from."""
    rows = [row for row, certainty in enumerate(certainties) if certainty.is_due()]
    if not rows:
        return
    looked = (logits_BV if len(rows) == len(logits_BV) else logits_BV[rows]).float()
    chosen = torch.tensor([tokens[row] for row in rows], device=looked.device)
    log_probs = looked.gather(1, chosen[:, None])[:, 0] - looked.logsumexp(-1)
    for row, log_prob in zip(rows, log_probs.tolist(), strict=True):
        certainties[row].note(log_prob)
