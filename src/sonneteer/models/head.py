"""The output layer, on the rows that are learned only: logits are never kept, their gradient is made on the way.

Shape letters: N rows, M terms, U distinct rows among the terms, V vocabulary, D width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from sonneteer.models.forest import Terms

ROWS_AT_ONCE = 256  # their logits fit into the processor's cache


class Head(NamedTuple):
    """What makes logits of hidden states: a matrix (V, D), and whether they are capped by cap * tanh(logit / cap)."""

    weight_VD: torch.Tensor
    softcap: float | None = None

    def logits(self, rows_RD: torch.Tensor) -> torch.Tensor:
        """Logits of some rows, (R, V), in float32 where the products are shorter."""
        product: torch.Tensor = rows_RD @ self.weight_VD.t()
        logits = product.float() if product.dtype in (torch.bfloat16, torch.float16) else product
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


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


class _Scratch:
    """Memory that every part uses again: asking the system for it anew takes longer than computing in it."""

    def __init__(self, hidden: torch.Tensor, weight: torch.Tensor, terms: Terms) -> None:
        rows = min(ROWS_AT_ONCE, terms.rows_M.numel())
        short = hidden.new_empty(rows, weight.shape[0])
        self.logits = torch.empty_like(short, dtype=torch.float32), short
        if weight.requires_grad:
            self.short_grad, self.grad = torch.empty_like(weight), torch.empty_like(weight, dtype=torch.float32)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, softcap: float | None, terms: Terms
    ) -> torch.Tensor:
        grad_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        loss = torch.zeros((), dtype=torch.float64, device=hidden.device)
        scratch = _Scratch(hidden, weight, terms)
        for part in _parts(terms):
            rows = hidden[part.rows]
            logits, short = (buffer[: len(rows)] for buffer in scratch.logits)
            logits.copy_(torch.mm(rows, weight.t(), out=short))
            slope = None if softcap is None else _cap(logits, softcap)
            peak, of_targets = logits.amax(-1, keepdim=True), logits[part.places, part.targets]
            total = logits.sub_(peak).exp_().sum(-1, keepdim=True)
            loss += (part.weights * ((total.log() + peak)[part.places, 0] - of_targets)).sum()
            if grad_hidden is None and grad_weight is None:
                continue
            row_weight = torch.zeros(len(rows), device=hidden.device).index_add_(0, part.places, part.weights)
            grad = logits.mul_(row_weight[:, None] / total)
            grad.index_put_((part.places, part.targets), -part.weights, accumulate=True)
            short.copy_(grad if slope is None else grad.mul_(slope))
            if grad_hidden is not None:
                grad_hidden[part.rows] = short @ weight
            if grad_weight is not None:
                grad_weight += scratch.grad.copy_(torch.mm(short.t(), rows, out=scratch.short_grad))
        ctx.grads = grad_hidden, grad_weight
        return loss.float()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight = ctx.grads
        scale = grads[0]
        return (
            None if hidden is None else hidden * scale.to(hidden.dtype),
            None if weight is None else weight * scale,
            None,
            None,
        )


def _cap(logits: torch.Tensor, softcap: float) -> torch.Tensor:
    """Cap the logits in their place. Returns the slope of the cap at each of them."""
    slope = 1 - logits.div_(softcap).tanh_().square()
    logits.mul_(softcap)
    return slope


def cross_entropy(hidden_ND: torch.Tensor, head: Head, terms: Terms) -> torch.Tensor:
    """Weighted sum over the terms of -log p(target | row), in nats, a float32 scalar.

    The gradient with respect to `hidden_ND` and, if it is trained, the head's matrix is made in the forward, a few
    hundred rows at a time, in the type that autocast asks for. Works for terms that share a row (forks, or several
    examples with the same next token).
    """
    kind, weight_VD = hidden_ND.device.type, head.weight_VD
    if torch.is_autocast_enabled(kind):  # once for all parts
        dtype = torch.get_autocast_dtype(kind)
        hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    loss: torch.Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_ND, weight_VD, head.softcap, terms
    )
    return loss


class Predictions(NamedTuple):
    """For each term: log p(target | row), and whether the target was the likeliest token."""

    log_probs_M: torch.Tensor
    is_first_M: torch.Tensor


@torch.no_grad()
def predictions(hidden_ND: torch.Tensor, head: Head, terms: Terms) -> Predictions:
    """What the model thinks of each term's target, without gradient, in the order of the terms."""
    log_probs = torch.empty(terms.rows_M.numel(), device=hidden_ND.device)
    is_first = torch.empty(terms.rows_M.numel(), dtype=torch.bool, device=hidden_ND.device)
    for start in range(0, terms.rows_M.numel(), ROWS_AT_ONCE):
        here = slice(start, start + ROWS_AT_ONCE)
        targets = terms.targets_M[here]
        logits = head.logits(hidden_ND[terms.rows_M[here]]).float()
        log_probs[here] = logits.gather(1, targets[:, None])[:, 0] - torch.logsumexp(logits, -1)
        is_first[here] = logits.argmax(-1) == targets
    return Predictions(log_probs, is_first)
