"""What objectives need of each term equals the plain computation, and so do its gradients."""

from __future__ import annotations

import pytest
import torch

from sonneteer.models.forest import Terms, plant
from sonneteer.models.head import Head, log_probs
from sonneteer.models.term_logprobs import Guide, departures, divergences, sequence_sums, spread_losses
from sonneteer.records import Rendered

IDS = [i * i % 11 for i in range(700)]  # more terms than are computed at once


def drawn() -> tuple[torch.Tensor, torch.Tensor, Terms]:
    torch.manual_seed(0)
    hidden = torch.randn(700, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 8, dtype=torch.float64, requires_grad=True)
    return hidden, weight, plant([Rendered(IDS, [0.5 * (i % 3) for i in range(700)])]).terms


CAPS = pytest.mark.parametrize("softcap", [None, 1.5])


def capped(logits: torch.Tensor, softcap: float | None) -> torch.Tensor:
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def equal_with_gradients(ours: torch.Tensor, plain: torch.Tensor, *of: torch.Tensor) -> None:
    torch.testing.assert_close(ours, plain)
    scale = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype)
    for mine, theirs in zip(
        torch.autograd.grad((ours * scale).sum(), of),
        torch.autograd.grad((plain * scale).sum(), of, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@CAPS
def test_log_probabilities(softcap: float | None) -> None:
    hidden, weight, terms = drawn()
    head = Head(weight, softcap)
    all_of_them = capped(hidden @ weight.t(), softcap)[terms.rows_M].log_softmax(-1)
    plain = all_of_them.gather(1, terms.targets_M[:, None])[:, 0]
    equal_with_gradients(log_probs(hidden, head, terms), plain, hidden, weight)
    equal_with_gradients(spread_losses(hidden, head, terms), -all_of_them.mean(-1), hidden, weight)


def test_sums_of_sequences_are_weighted() -> None:
    terms = plant([Rendered([1, 2, 3], [0, 2.0, 1.0]), Rendered([1, 2], [0, 1.0])]).terms
    assert sequence_sums(torch.tensor([1.0, 10.0, 100.0]), terms, 2).tolist() == [12.0, 100.0]


@CAPS
@pytest.mark.parametrize("is_guide_first", [True, False])
def test_divergences_from_a_guide_with_another_width_and_padding(is_guide_first: bool, softcap: float | None) -> None:
    hidden, weight, terms = drawn()
    guiding = torch.randn(13, 4, dtype=torch.float64)
    guide = Guide(torch.randn(700, 4, dtype=torch.float64), Head(guiding, softcap))
    ours = capped(hidden @ weight.t(), softcap)[terms.rows_M].log_softmax(-1)
    theirs = capped(guide.hidden_ND @ guiding.t(), softcap)[terms.rows_M, :11].log_softmax(-1)
    expected, given = (theirs, ours) if is_guide_first else (ours, theirs)
    plain = torch.nn.functional.kl_div(given, expected, reduction="none", log_target=True).sum(-1)
    compute = divergences if is_guide_first else departures
    equal_with_gradients(compute(hidden, Head(weight, softcap), guide, terms), plain, hidden, weight)
