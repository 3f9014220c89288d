"""The output layer, on the rows that are learned only: logits are never kept, their gradient is made on the way.

The gradient of log p(target) with respect to the logits is one at the target minus the softmax; so with respect to the
hidden state it is the target's row of the matrix minus the expected row. The expected row is made in the forward, while
the logits are there, of all tokens but the row's own targets. Those are added in float32: for a token that the network
is nearly sure of, the difference would vanish in short numbers.

Shape letters: N rows, M terms, U distinct rows among the terms, R rows of a part, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from sonneteer.models.forest import Terms

ROWS_AT_ONCE = 256  # enough for products of matrices at full speed
ROWS_IN_CACHE = 32  # of these the logits stay in a processor's cache from one operation to the next


class Head(NamedTuple):
    """What makes logits of hidden states: a matrix (V, D), and whether they are capped by cap * tanh(logit / cap)."""

    weight_VD: torch.Tensor
    softcap: float | None = None

    def logits(self, rows_RD: torch.Tensor) -> torch.Tensor:
        """Logits of some rows, (R, V), in float32 where the products are shorter."""
        product: torch.Tensor = rows_RD @ self.weight_VD.t()
        logits = product.float() if product.dtype in (torch.bfloat16, torch.float16) else product
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


class _Learned(NamedTuple):
    """The terms in the order of their rows."""

    order_M: torch.Tensor
    rows_U: torch.Tensor
    places_M: torch.Tensor
    """Of each term's row among the distinct rows."""
    targets_M: torch.Tensor
    equals_M: torch.Tensor
    """How many terms have the same row and target."""

    def parts(self, size: int, rows: slice) -> Iterator[tuple[slice, slice]]:
        """A few of the distinct rows at a time, and the terms that are theirs."""
        bounds = [*range(rows.start, rows.stop, size), rows.stop]
        firsts = torch.searchsorted(self.places_M, torch.tensor(bounds, device=self.places_M.device)).tolist()
        for number in range(len(bounds) - 1):
            yield slice(*bounds[number : number + 2]), slice(*firsts[number : number + 2])


def _learned(terms: Terms, vocabulary: int) -> _Learned:
    rows, places = torch.unique(terms.rows_M, return_inverse=True)
    order = torch.argsort(places, stable=True)
    places, targets = places[order], terms.targets_M[order]
    _, pairs, counts = torch.unique(places * vocabulary + targets, return_inverse=True, return_counts=True)
    return _Learned(order, rows, places, targets, counts[pairs])


class _Part(NamedTuple):
    """What the network makes of some rows."""

    rows: slice
    terms: slice
    hidden_RD: torch.Tensor
    others_RV: torch.Tensor
    """Probabilities (times the slope of the cap) of all tokens but the row's own targets."""
    log_probs_M: torch.Tensor
    slopes_M: torch.Tensor
    """Slope of the cap at the targets."""


def _parts(hidden_ND: torch.Tensor, head: Head, learned: _Learned) -> Iterator[_Part]:
    """Memory is used again by every part: asking the system for it anew takes longer than computing in it."""
    count, vocabulary = learned.rows_U.numel(), len(head.weight_VD)
    at_once, in_cache = min(ROWS_AT_ONCE, count), ROWS_AT_ONCE if hidden_ND.is_cuda else ROWS_IN_CACHE
    short = hidden_ND.new_empty(at_once, vocabulary)
    long = hidden_ND.new_empty(min(in_cache, at_once), vocabulary, dtype=_long(hidden_ND))
    log_probs = long.new_empty(learned.places_M.numel())
    slopes = torch.ones_like(log_probs)
    for rows, terms in learned.parts(ROWS_AT_ONCE, slice(0, count)):
        hidden = hidden_ND[learned.rows_U[rows]]
        others = torch.mm(hidden, head.weight_VD.t(), out=short[: len(hidden)])
        for few, theirs in learned.parts(in_cache, rows):
            logits, probabilities = long[: few.stop - few.start], others[few.start - rows.start : few.stop - rows.start]
            where = learned.places_M[theirs] - few.start, learned.targets_M[theirs]
            logits.copy_(probabilities)
            slope = None if head.softcap is None else _cap(logits, head.softcap)
            torch.log_softmax(logits, -1, out=logits)
            log_probs[theirs] = logits[where]
            if slope is None:
                torch.exp(logits, out=probabilities)
            else:
                slopes[theirs] = slope[where]
                probabilities.copy_(logits.exp_().mul_(slope))
            probabilities[where] = 0
        yield _Part(rows, terms, hidden, others, log_probs[terms], slopes[terms])


def _long(hidden_ND: torch.Tensor) -> torch.dtype:
    """The type of what is summed up: float32 where the products are shorter."""
    return torch.promote_types(hidden_ND.dtype, torch.float32)


def _cap(logits: torch.Tensor, softcap: float) -> torch.Tensor:
    """Cap the logits in their place. Returns the slope of the cap at each of them."""
    slope = 1 - logits.div_(softcap).tanh_().square()
    logits.mul_(softcap)
    return slope


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, softcap: float | None, terms: Terms) -> Any:
        ctx.head, ctx.learned = Head(weight, softcap), _learned(terms, len(weight))
        log_probs = hidden.new_empty(terms.rows_M.numel(), dtype=_long(hidden))
        slopes = torch.empty_like(log_probs)
        expected = hidden.new_empty(ctx.learned.rows_U.numel(), hidden.shape[1])
        for part in _parts(hidden, ctx.head, ctx.learned):
            log_probs[part.terms], slopes[part.terms] = part.log_probs_M, part.slopes_M
            if ctx.needs_input_grad[0]:
                torch.mm(part.others_RV, weight, out=expected[part.rows])
        ctx.save_for_backward(hidden, log_probs, slopes, expected)
        return torch.empty_like(log_probs).index_copy_(0, ctx.learned.order_M, log_probs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, log_probs, slopes, expected = ctx.saved_tensors
        weight, learned, grad = ctx.head.weight_VD, ctx.learned, grads[0][ctx.learned.order_M]
        of_rows = grad.new_zeros(learned.rows_U.numel()).index_add_(0, learned.places_M, grad)
        of_targets = (grad - of_rows[learned.places_M] * log_probs.exp() / learned.equals_M) * slopes
        grad_hidden = grad_weight = None
        if ctx.needs_input_grad[0]:
            total = expected.to(grad.dtype) * -of_rows[:, None]
            total.index_add_(0, learned.places_M, weight[learned.targets_M].to(grad.dtype) * of_targets[:, None])
            grad_hidden = torch.zeros_like(hidden).index_copy_(0, learned.rows_U, total.to(hidden.dtype))
        if ctx.needs_input_grad[1]:
            seen = hidden[learned.rows_U[learned.places_M]].to(grad.dtype)
            grad_weight = torch.zeros_like(weight, dtype=grad.dtype)
            grad_weight.index_add_(0, learned.targets_M, seen * of_targets[:, None])
            for part in _parts(hidden, ctx.head, learned):  # made again, since keeping them would take gigabytes
                scaled = part.hidden_RD * -of_rows[part.rows, None].to(hidden.dtype)
                grad_weight += part.others_RV.t() @ scaled
        return grad_hidden, grad_weight, None, None


def log_probs(hidden_ND: torch.Tensor, head: Head, terms: Terms) -> torch.Tensor:
    """log p(target | row) of each term, (M,), in nats, float32 or longer.

    Works for terms that share a row (forks, or several examples with the same next token), in the type that autocast
    asks for.
    """
    kind, weight_VD = hidden_ND.device.type, head.weight_VD
    if torch.is_autocast_enabled(kind):  # once for all parts
        dtype = torch.get_autocast_dtype(kind)
        hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    told: torch.Tensor = _LogProbs.apply(hidden_ND, weight_VD, head.softcap, terms)  # type: ignore[no-untyped-call]
    return told


def cross_entropy(hidden_ND: torch.Tensor, head: Head, terms: Terms) -> torch.Tensor:
    """Weighted sum over the terms of -log p(target | row), in nats, a float32 scalar."""
    told = log_probs(hidden_ND, head, terms)
    return -(told.double() * terms.weights_M).sum().float()


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
