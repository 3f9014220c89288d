"""Attention along the paths of a forest: exact, without a dense mask, with a hand-written backward.

A block is 128 consecutive rows, whatever paths they lie on. Its keys are the rows that any of them may see, gathered
from a few spans: first those that all of them see, then those that only some see, which alone need a mask. The number
of keys is filled up to a multiple of 64, so that a processor's library meets few shapes and builds few kernels. Query
heads that share a key head are folded into rows, so keys and values are never repeated (grouped-query attention, arXiv
2305.13245). The softmax is recomputed in the backward, as FlashAttention does (arXiv 2205.14135).

Shape letters: N rows, H key heads, G query heads to a key head, D head width, B blocks, Q rows of a block, K its keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from sonneteer.errors import ModelError
from sonneteer.models.flex import FlexPlan, reach
from sonneteer.models.forest import Forest, Rows, Span, spans_of

NAME = "forest"
QUERIES = 128
KEYS_STEP = 64


class Block(NamedTuple):
    """What the rows of one block may see."""

    spans: tuple[Span, ...]
    """Rows of the keys, in the order in which they are gathered."""
    keys: int
    seen_by_all: int
    """The first so many keys need no mask."""
    mask_QK: torch.Tensor
    """For the other keys: 0 where a query looks, minus infinity where it may not."""


def blocks_of(forest: Forest, window: int | None = None) -> list[Block]:
    """Cut the rows into blocks. Their number must be a multiple of QUERIES."""
    until, depths = reach(forest), forest.positions_N.cpu().numpy()
    is_near = np.zeros(forest.unique_tokens, np.bool_)
    blocks, first = [], 0
    for start in range(0, forest.unique_tokens, QUERIES):
        end = start + QUERIES
        is_near[:] = False
        while forest.segments[first].end <= start:
            first += 1
        for segment in forest.segments[first:]:
            if segment.start >= end:
                break
            for ancestor_start, ancestor_end in segment.ancestors:
                is_near[ancestor_start:ancestor_end] = True
            is_near[segment.start : min(segment.end, end)] = True
        keys = np.flatnonzero(is_near)
        rows = np.arange(start, end)[:, None]
        sees = (keys <= rows) & (rows < until[keys])
        if window is not None:
            sees &= depths[rows] - depths[keys] < window
        blocks.append(_block(keys, sees))
    return blocks


def _block(keys: Rows, sees_QK: NDArray[np.bool_]) -> Block:
    by_all, by_some = sees_QK.all(0), sees_QK.any(0)
    shared, others = keys[by_all], keys[by_some & ~by_all]
    idle = np.arange(-(len(shared) + len(others)) % KEYS_STEP)  # any rows will do: nobody sees them
    mask = np.full((len(sees_QK), len(others) + len(idle)), -np.inf, np.float32)
    mask[:, : len(others)][sees_QK[:, by_some & ~by_all]] = 0
    spans = tuple(span for part in (shared, others, idle) for span in spans_of(part))
    return Block(spans, len(shared) + mask.shape[1], len(shared), torch.from_numpy(mask))


class _Shape(NamedTuple):
    blocks: list[Block]
    masks: list[torch.Tensor]
    """Each block's mask in the format of the scores, with a row for each query head, (Q*G, K)."""


class _Scratch:
    """Memory that the blocks of one pass use in turn: fresh pages cost more than the products that fill them."""

    def __init__(self, like: torch.Tensor) -> None:
        self._like = like
        self._kept: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor of this shape, with what is left in it."""
        count = int(np.prod(shape))
        if name not in self._kept or self._kept[name].numel() < count:
            self._kept[name] = self._like.new_empty(count)
        return self._kept[name][:count].view(shape)

    def gathered(self, name: str, rows_HND: torch.Tensor, block: Block) -> torch.Tensor:
        """The block's keys or values, (H, K, D)."""
        out = self(name, rows_HND.shape[0], block.keys, rows_HND.shape[2])
        return torch.cat([rows_HND[:, start:end] for start, end in block.spans], 1, out=out)


def _weights(
    query_HQD: torch.Tensor, keys_HKD: torch.Tensor, block: Block, mask: torch.Tensor, scratch: _Scratch
) -> torch.Tensor:
    """Softmax of the scores, (H, Q*G, K); the queries are scaled already."""
    scores = scratch("weights", *query_HQD.shape[:2], block.keys)
    torch.bmm(query_HQD, keys_HKD.transpose(1, 2), out=scores)
    scores[:, :, block.seen_by_all :].add_(mask)
    return torch.softmax(scores, -1, out=scores)


class _PathAttention(torch.autograd.Function):
    """Queries block by block, a row's heads side by side, (H, Q*G, D) each; keys and values (H, N, D)."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: _Shape) -> torch.Tensor:
        out, scratch = torch.empty_like(query), _Scratch(query)
        for block, mask, queries, sums in zip(shape.blocks, shape.masks, query, out, strict=True):
            weights = _weights(queries, scratch.gathered("keys", key, block), block, mask, scratch)
            torch.bmm(weights, scratch.gathered("values", value, block), out=sums)
        ctx.save_for_backward(query, key, value)
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_out,) = grads
        query, key, value = ctx.saved_tensors
        shape, scratch = ctx.shape, _Scratch(query)
        grad_query = torch.empty_like(query)
        grad_key = torch.zeros(key.shape, dtype=torch.float32, device=key.device)
        grad_value = torch.zeros_like(grad_key)
        for number, (block, mask) in enumerate(zip(shape.blocks, shape.masks, strict=True)):
            keys, grad = scratch.gathered("keys", key, block), grad_out[number].contiguous()
            weights = _weights(query[number], keys, block, mask, scratch)
            scores, part = scratch("scores", *weights.shape), scratch("part", *keys.shape)
            _add_to(grad_value, block.spans, torch.bmm(weights.transpose(1, 2), grad, out=part))
            torch.bmm(grad, scratch.gathered("values", value, block).transpose(1, 2), out=scores)
            torch.ops.aten._softmax_backward_data.out(scores, weights, -1, scores.dtype, grad_input=scores)
            torch.bmm(scores, keys, out=grad_query[number])
            _add_to(grad_key, block.spans, torch.bmm(scores.transpose(1, 2), query[number], out=part))
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
        self._forest = forest.filled(QUERIES)
        self._blocks: dict[int | None, list[Block]] = {}
        self._masks: dict[tuple[int | None, int, torch.dtype], list[torch.Tensor]] = {}

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """Query (1, H*G, N, D), key and value (1, H, N, D) -> (1, N, H*G, D)."""
        _, heads, rows, width = query.shape
        key_heads, groups = key.shape[1], heads // key.shape[1]
        idle = self._forest.unique_tokens - rows
        if idle:
            query, key, value = (pad(states, (0, 0, 0, idle)) for states in (query, key, value))
        blocked = (query * scale).view(key_heads, groups, -1, QUERIES, width).permute(2, 0, 3, 1, 4)
        out: torch.Tensor = _PathAttention.apply(  # type: ignore[no-untyped-call]
            blocked.reshape(-1, key_heads, QUERIES * groups, width),
            key[0].contiguous(),
            value[0].contiguous(),
            self._shape(window, groups, query.dtype),
        )
        rowwise = out.view(-1, key_heads, QUERIES, groups, width).transpose(1, 2)
        return rowwise.reshape(1, rows + idle, heads, width)[:, :rows]

    def _shape(self, window: int | None, groups: int, dtype: torch.dtype) -> _Shape:
        if window not in self._blocks:
            self._blocks[window] = blocks_of(self._forest, window)
        blocks, place = self._blocks[window], (window, groups, dtype)
        if place not in self._masks:
            self._masks[place] = [block.mask_QK.repeat_interleave(groups, 0).to(dtype) for block in blocks]
        return _Shape(blocks, self._masks[place])


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
