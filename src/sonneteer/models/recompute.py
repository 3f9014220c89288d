"""Blocks that keep only what goes in, and compute the rest once more in the backward pass (arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from sonneteer.models.attention import NAME, forest_attention
from sonneteer.models.layers import frozen_blocks


def recompute_blocks(network: PreTrainedModel) -> None:
    """From now on a forward pass keeps one row of hidden states for each block. The gradients stay the same.

    Below the first block that learns nothing is kept anyway.
    """
    for block in network.get_decoder().layers[frozen_blocks(network) :]:
        block.forward = partial(_forward, network, block.forward)


def _forward(network: PreTrainedModel, forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*given, **named)
    again = partial(_contexts, network)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=again, **named)


def _contexts(network: PreTrainedModel) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the forward pass and its repetition: the latter comes when the forest's own attention is off again."""
    is_forest = network.config._attn_implementation == NAME
    return nullcontext(), forest_attention(network) if is_forest else nullcontext()
