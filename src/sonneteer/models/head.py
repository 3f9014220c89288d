"""The output layer, on the rows that are learned only: logits are never kept, their gradient is made on the way.

Shape letters: N rows, M terms, U distinct rows among the terms, V vocabulary, D width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from sonneteer.models.forest import Terms

ROWS_AT_ONCE = 256  # their logits fit into the processor's cache


class _Part(NamedTuple):
    """The terms of some distinct rows: `rows` of the hidden states, and `places` of each term's row among them."""

    rows: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def _parts(terms: Terms) -> list[_Part]:
    rows_U, index_M = torch.unique(terms.rows_M, return_inverse=True)
    order = torch.argsort(index_M, stable=True)
    index, targets, weights = index_M[order], terms.targets_M[order], terms.weights_M[order]
    parts = []
    for start in range(0, rows_U.numel(), ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, rows_U.numel())
        here = slice(int(torch.searchsorted(index, start)), int(torch.searchsorted(index, end)))
        parts.append(_Part(rows_U[start:end], index[here] - start, targets[here], weights[here]))
    return parts


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, terms: Terms) -> torch.Tensor:
        grad_hidden = torch.zeros_like(hidden) if hidden.requires_grad else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if weight.requires_grad else None
        loss = torch.zeros((), dtype=torch.float64, device=hidden.device)
        for part in _parts(terms):
            rows = hidden[part.rows]
            logits = (rows @ weight.t()).float()
            log_total = torch.logsumexp(logits, -1, keepdim=True)
            loss += (part.weights * (log_total[part.places, 0] - logits[part.places, part.targets])).sum()
            if grad_hidden is None and grad_weight is None:
                continue
            row_weight = torch.zeros(len(part.rows), device=hidden.device).index_add_(0, part.places, part.weights)
            grad = logits.sub_(log_total).exp_().mul_(row_weight[:, None])
            grad.index_put_((part.places, part.targets), -part.weights, accumulate=True)
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[part.rows] = grad @ weight
            if grad_weight is not None:
                grad_weight += grad.t() @ rows
        ctx.grads = grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype)
        return loss.float()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight = ctx.grads
        scale = grads[0]
        return (
            None if hidden is None else hidden * scale.to(hidden.dtype),
            None if weight is None else weight * scale.to(weight.dtype),
            None,
        )


def cross_entropy(hidden_ND: torch.Tensor, weight_VD: torch.Tensor, terms: Terms) -> torch.Tensor:
    """Weighted sum over the terms of -log p(target | row), in nats, a float32 scalar.

    The gradient with respect to `hidden_ND` and, if it is trained, `weight_VD` is made in the forward, a few
    hundred rows at a time. Works for terms that share a row (forks, or several examples with the same next token).
    """
    loss: torch.Tensor = _CrossEntropy.apply(hidden_ND, weight_VD, terms)  # type: ignore[no-untyped-call]
    return loss


class Predictions(NamedTuple):
    """For each term: log p(target | row), and whether the target was the likeliest token."""

    log_probs_M: torch.Tensor
    is_first_M: torch.Tensor


@torch.no_grad()
def predictions(hidden_ND: torch.Tensor, weight_VD: torch.Tensor, terms: Terms) -> Predictions:
    """What the model thinks of each term's target, without gradient, in the order of the terms."""
    log_probs = torch.empty(terms.rows_M.numel(), device=hidden_ND.device)
    is_first = torch.empty(terms.rows_M.numel(), dtype=torch.bool, device=hidden_ND.device)
    for start in range(0, terms.rows_M.numel(), ROWS_AT_ONCE):
        here = slice(start, start + ROWS_AT_ONCE)
        targets = terms.targets_M[here]
        logits = (hidden_ND[terms.rows_M[here]] @ weight_VD.t()).float()
        log_probs[here] = logits.gather(1, targets[:, None])[:, 0] - torch.logsumexp(logits, -1)
        is_first[here] = logits.argmax(-1) == targets
    return Predictions(log_probs, is_first)
