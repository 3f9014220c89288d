"""What objectives need of each term, differentiable and without stored logits: they are made again in the backward.

Shape letters: N rows, M terms, R terms of a part, S sequences, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from sonneteer.models.forest import Terms
from sonneteer.models.head import ROWS_AT_ONCE, Head


def spread_losses(hidden_ND: torch.Tensor, head: Head, terms: Terms) -> torch.Tensor:
    """Mean over the whole vocabulary of -log p(token | row), (M,): the loss against a target that is any token."""

    def told(rows_RD: torch.Tensor, head: Head, _: torch.Tensor) -> torch.Tensor:
        logits = head.logits(rows_RD)
        return torch.logsumexp(logits, -1) - logits.mean(-1)

    return _by_parts(told, terms, hidden_ND, head)


class Guide:
    """Another network's view of the same rows: its hidden states and its output layer."""

    def __init__(self, hidden_ND: torch.Tensor, head: Head) -> None:
        self.hidden_ND, self.head = hidden_ND.detach(), head._replace(weight_VD=head.weight_VD.detach())


def divergences(
    hidden_ND: torch.Tensor, head: Head, guide: Guide, terms: Terms, temperature: float = 1.0
) -> torch.Tensor:
    """KL(guide || network) of the next token's distribution at each term's row, (M,), in nats."""
    return _divergences(hidden_ND, head, guide, terms, temperature, is_guide_first=True)


def departures(hidden_ND: torch.Tensor, head: Head, guide: Guide, terms: Terms) -> torch.Tensor:
    """KL(network || guide) at each term's row, (M,), in nats: how far the network has gone from the guide."""
    return _divergences(hidden_ND, head, guide, terms, 1.0, is_guide_first=False)


def sequence_sums(values_M: torch.Tensor, terms: Terms, sequences: int) -> torch.Tensor:
    """Weighted sums over each sequence's terms, (S,)."""
    sums = torch.zeros(sequences, dtype=values_M.dtype, device=values_M.device)
    return sums.index_add(0, terms.sequences_M, values_M * terms.weights_M.to(values_M.dtype))


def _divergences(
    hidden_ND: torch.Tensor,
    head: Head,
    guide: Guide,
    terms: Terms,
    temperature: float,
    *,
    is_guide_first: bool,
) -> torch.Tensor:
    shared = min(len(head.weight_VD), len(guide.head.weight_VD))  # matrices may be padded to different sizes

    def told(rows_RD: torch.Tensor, head: Head, _: torch.Tensor, guiding_RD: torch.Tensor) -> torch.Tensor:
        ours = (head.logits(rows_RD)[:, :shared] / temperature).log_softmax(-1)
        theirs = (guide.head.logits(guiding_RD)[:, :shared] / temperature).log_softmax(-1)
        first, second = (theirs, ours) if is_guide_first else (ours, theirs)
        return (first.exp() * (first - second)).sum(-1)

    return _by_parts(told, terms, hidden_ND, head, guide.hidden_ND)


def _by_parts(
    told: Callable[..., torch.Tensor],
    terms: Terms,
    hidden_ND: torch.Tensor,
    head: Head,
    *others_ND: torch.Tensor,
) -> torch.Tensor:
    """`told` for some terms at a time; what it computes on the way is not kept."""

    def with_head(rows_RD: torch.Tensor, weight_VD: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return told(rows_RD, head._replace(weight_VD=weight_VD), *others)

    parts = []
    for start in range(0, terms.rows_M.numel(), ROWS_AT_ONCE):
        here = slice(start, start + ROWS_AT_ONCE)
        rows = terms.rows_M[here]
        more = [other[rows] for other in others_ND]
        parts.append(
            checkpoint(with_head, hidden_ND[rows], head.weight_VD, terms.targets_M[here], *more, use_reentrant=False)
        )
    return torch.cat(parts) if parts else hidden_ND.new_zeros(0) + hidden_ND.sum() * 0
