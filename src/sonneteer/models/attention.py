"""Attention along the paths of a forest: exact, without a dense mask, with a hand-written backward.

A block is at most 128 consecutive queries of one segment; its keys are the rows of its path, gathered from a few
spans. Query heads that share a key head are folded into rows, so keys and values are never repeated (grouped-query
attention, arXiv 2305.13245). The softmax is recomputed in the backward, as FlashAttention does (arXiv 2205.14135).

Shape letters: N rows, H key heads, G query heads to a key head, D head width, Q queries of a block, K its keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from sonneteer.errors import ModelError
from sonneteer.models.flex import FlexPlan
from sonneteer.models.forest import Forest, Span

NAME = "forest"
QUERIES = 128  # a block of scores then stays in the processor's cache


class Block(NamedTuple):
    """Queries in rows `start` to `end`, and the spans of the rows they may see, root first, themselves last."""

    start: int
    end: int
    spans: tuple[Span, ...]


def blocks_of(forest: Forest, queries: int = QUERIES) -> list[Block]:
    """Cut every segment into blocks."""
    blocks = []
    for segment in forest.segments:
        for start in range(segment.start, segment.end, queries):
            end = min(start + queries, segment.end)
            blocks.append(Block(start, end, _joined((*segment.ancestors, (segment.start, end)))))
    return blocks


def _joined(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    joined = [spans[0]]
    for start, end in spans[1:]:
        if joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _last_rows(spans: tuple[Span, ...], count: int) -> tuple[Span, ...]:
    """The spans of the last `count` rows of a path: all that a sliding window can see."""
    kept: list[Span] = []
    for start, end in reversed(spans):
        if count <= 0:
            break
        kept.append((max(start, end - count), end))
        count -= end - start
    return tuple(reversed(kept))


@lru_cache(maxsize=512)
def _hidden(queries: int, keys: int, groups: int, window: int | None, device: torch.device) -> torch.Tensor:
    """True where a query may not look, (Q*G, K): the keys are a path whose last Q rows are the queries themselves."""
    own = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    hidden = key > own
    if window is not None:
        hidden |= key <= own - window
    return hidden.repeat_interleave(groups, 0)


def _gathered(rows_HND: torch.Tensor, spans: tuple[Span, ...]) -> torch.Tensor:
    if len(spans) == 1:
        return rows_HND[:, spans[0][0] : spans[0][1]]
    return torch.cat([rows_HND[:, start:end] for start, end in spans], 1)


class _Shape(NamedTuple):
    blocks: list[Block]
    groups: int
    scale: float
    window: int | None

    def spans(self, block: Block) -> tuple[Span, ...]:
        """What the block's queries can see at all."""
        if self.window is None:
            return block.spans
        return _last_rows(block.spans, block.end - block.start + self.window - 1)


def _weights(query_HQD: torch.Tensor, keys_HKD: torch.Tensor, shape: _Shape) -> torch.Tensor:
    """Softmax of the scaled scores, (H, Q*G, K)."""
    scores = torch.bmm(query_HQD, keys_HKD.transpose(1, 2)).mul_(shape.scale)
    queries = query_HQD.shape[1] // shape.groups
    hidden = _hidden(queries, keys_HKD.shape[1], shape.groups, shape.window, scores.device)
    return torch.softmax(scores.masked_fill_(hidden, float("-inf")), -1)


class _PathAttention(torch.autograd.Function):
    """Queries (H, N*G, D) with a token's heads side by side; keys and values (H, N, D)."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: _Shape) -> torch.Tensor:
        out = torch.empty_like(query)
        for block in shape.blocks:
            rows = slice(block.start * shape.groups, block.end * shape.groups)
            spans = shape.spans(block)
            weights = _weights(query[:, rows], _gathered(key, spans), shape)
            out[:, rows] = torch.bmm(weights, _gathered(value, spans))
        ctx.save_for_backward(query, key, value, out)
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_out,) = grads
        query, key, value, out = ctx.saved_tensors
        shape: _Shape = ctx.shape
        grad_query = torch.empty_like(query)
        grad_key = torch.zeros(key.shape, dtype=torch.float32, device=key.device)
        grad_value = torch.zeros_like(grad_key)
        delta = (grad_out * out).sum(-1, keepdim=True, dtype=torch.float32)
        for block in shape.blocks:
            rows = slice(block.start * shape.groups, block.end * shape.groups)
            spans = shape.spans(block)
            keys, values = _gathered(key, spans), _gathered(value, spans)
            weights = _weights(query[:, rows], keys, shape)
            scores = torch.bmm(grad_out[:, rows], values.transpose(1, 2))
            scores = scores.sub_(delta[:, rows]).mul_(weights).mul_(shape.scale)
            grad_query[:, rows] = torch.bmm(scores, keys)
            _add_to(grad_key, spans, torch.bmm(scores.transpose(1, 2), query[:, rows]))
            _add_to(grad_value, spans, torch.bmm(weights.transpose(1, 2), grad_out[:, rows]))
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None


def _add_to(total_HND: torch.Tensor, spans: tuple[Span, ...], part_HKD: torch.Tensor) -> None:
    offset = 0
    for start, end in spans:
        total_HND[:, start:end] += part_HKD[:, offset : offset + end - start]
        offset += end - start


class Plan(Protocol):
    """How one pass attends along the paths of its forest."""

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """Query (1, H*G, N, D), key and value (1, H, N, D) -> (1, N, H*G, D)."""
        ...


class PathPlan:
    """On the processor: block by block, with the backward above."""

    def __init__(self, forest: Forest) -> None:
        self._blocks = blocks_of(forest)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """Query (1, H*G, N, D), key and value (1, H, N, D) -> (1, N, H*G, D)."""
        _, heads, rows, width = query.shape
        key_heads = key.shape[1]
        groups = heads // key_heads
        folded = query.view(key_heads, groups, rows, width).transpose(1, 2).reshape(key_heads, rows * groups, width)
        shape = _Shape(self._blocks, groups, scale, window)
        out: torch.Tensor = _PathAttention.apply(  # type: ignore[no-untyped-call]
            folded, key[0].contiguous(), value[0].contiguous(), shape
        )
        return out.view(key_heads, rows, groups, width).permute(1, 0, 2, 3).reshape(1, rows, heads, width)


def plan_of(forest: Forest) -> Plan:
    """The plan for the device that the forest is on."""
    return FlexPlan(forest) if forest.ids_N.is_cuda else PathPlan(forest)


def _forest_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    forest_plan: Plan,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer: query (1, H*G, N, D), key and value (1, H, N, D) -> (1, N, H*G, D)."""
    unsupported = [name for name in ("softcap", "s_aux") if others.get(name) is not None]
    if unsupported:
        raise ModelError(
            f"{type(module).__name__} computes attention with '{unsupported[0]}', which training here cannot do "
            "exactly. Choose a Llama-, Qwen-, Mistral-, Gemma-1- or SmolLM-like base model."
        )
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast norms leave them in float32
    return forest_plan.attend(query, key, value, scaling or query.shape[-1] ** -0.5, sliding_window), None


def _no_mask(**_: Any) -> None:
    return None


AttentionInterface.register(NAME, _forest_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def forest_attention(model: PreTrainedModel) -> Iterator[None]:
    """Let the model's layers attend along a forest's paths; afterwards they attend as before."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before
