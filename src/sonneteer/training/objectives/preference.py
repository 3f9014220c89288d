"""Learning from pairs: a better and a worse answer to the same question, which share it as one prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch.nn.functional import logsigmoid
from transformers import PreTrainedModel

from sonneteer.recipe.learning import PreferenceSettings
from sonneteer.training.lessons import Lesson, Reading
from sonneteer.training.references import sequence_log_probs


class Pairs(NamedTuple):
    """Log-probabilities of the answers of P pairs, and their lengths in tokens."""

    chosen_P: torch.Tensor
    rejected_P: torch.Tensor
    chosen_tokens_P: torch.Tensor
    rejected_tokens_P: torch.Tensor

    @property
    def margin_P(self) -> torch.Tensor:
        """By how much the better answer is likelier."""
        return self.chosen_P - self.rejected_P

    def per_token(self) -> Pairs:
        """The same as means over each answer's tokens."""
        ones = torch.ones_like(self.chosen_tokens_P)
        return Pairs(self.chosen_P / self.chosen_tokens_P, self.rejected_P / self.rejected_tokens_P, ones, ones)


def pairs_of(reading: Reading) -> Pairs:
    """What the network says of each pair."""
    return _pairs(sequence_log_probs(reading), reading)


def reference_pairs_of(reading: Reading) -> Pairs:
    """What the starting model said of them."""
    known = [value for lesson in reading.part.lessons for value in lesson.references]
    return _pairs(torch.tensor(known, device=reading.hidden_ND.device), reading)


def _pairs(sums_S: torch.Tensor, reading: Reading) -> Pairs:
    terms = reading.part.forest.terms
    tokens_S = torch.bincount(terms.sequences_M, minlength=sums_S.numel()).to(sums_S.dtype)
    return Pairs(sums_S[0::2], sums_S[1::2], tokens_S[0::2], tokens_S[1::2])


@dataclass(frozen=True)
class Dpo:
    """Direct preference optimisation, and its relatives IPO and SimPO: mean loss per pair."""

    settings: PreferenceSettings

    @property
    def needs_references(self) -> bool:
        """SimPO alone does without."""
        return self.settings.loss != "simpo"

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """The batch as it is."""
        return list(lessons)

    def total(self, lessons: Sequence[Lesson]) -> float:
        """The number of pairs."""
        return float(len(lessons))

    def loss(self, reading: Reading) -> torch.Tensor:
        """DPO: arXiv 2305.18290, equation 7, with the smoothing of 'conservative DPO' (arXiv 2403.00409, equation 2).

        IPO: arXiv 2310.12036, equation 17, on means per token, as its authors advise. SimPO: arXiv 2405.14734,
        equation 6.
        """
        beta, pairs = self.settings.beta, pairs_of(reading)
        if self.settings.loss == "simpo":
            return -logsigmoid(beta * pairs.per_token().margin_P - self.settings.margin).sum()
        reference = reference_pairs_of(reading)
        if self.settings.loss == "ipo":
            gain_P = pairs.per_token().margin_P - reference.per_token().margin_P
            return ((gain_P - 1 / (2 * beta)) ** 2).sum()
        gain_P, smoothing = beta * (pairs.margin_P - reference.margin_P), self.settings.label_smoothing
        return -((1 - smoothing) * logsigmoid(gain_P) + smoothing * logsigmoid(-gain_P)).sum()

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """The same."""
        return self.loss(reading)


@dataclass(frozen=True)
class Orpo:
    """Odds-ratio preference optimisation (arXiv 2403.07691): imitation of the better answer plus the comparison."""

    settings: PreferenceSettings

    needs_references: ClassVar[bool] = False

    def ready(self, network: PreTrainedModel, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
        """The batch as it is."""
        return list(lessons)

    def total(self, lessons: Sequence[Lesson]) -> float:
        """The number of pairs."""
        return float(len(lessons))

    def loss(self, reading: Reading) -> torch.Tensor:
        """Equations 6 and 7; log-probabilities are means per token (equation 3)."""
        pairs = pairs_of(reading).per_token()
        log_odds_P = _log_odds(pairs.chosen_P) - _log_odds(pairs.rejected_P)
        return (-pairs.chosen_P - self.settings.beta * logsigmoid(log_odds_P)).sum()

    def validation_loss(self, reading: Reading) -> torch.Tensor:
        """The same."""
        return self.loss(reading)


def _log_odds(log_prob: torch.Tensor) -> torch.Tensor:
    """log(p / (1 - p)); a mean log-probability of 0 would make it infinite."""
    log_prob = log_prob.clamp(max=-1e-6)
    return log_prob - torch.log(-torch.expm1(log_prob))
