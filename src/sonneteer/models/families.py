"""Which networks can share prefixes, and how the others compute the same forest without sharing.

A layer fits when it reads a token's ancestors as a set with positions: attention over the whole path or a window of
it. State-space, linear-attention, short-convolution and chunked layers read their neighbours in memory, which in a
forest may belong to other sequences; attention with capped scores or sinks is not computed by our kernels.

Shape letters: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

from sonneteer.models.forest import Forest, Segment

PATH_WISE = {"full_attention", "sliding_attention"}
WITH_SINKS = {"gpt_oss"}


def shares_prefixes(network: PreTrainedModel) -> bool:
    """Whether every layer can attend along the paths of a forest, by what the network's configuration says."""
    config = network.config.get_text_config()
    kinds = {*(getattr(config, "layer_types", None) or ()), *(getattr(config, "layers_block_type", None) or ())}
    return (
        bool(network._supports_attention_backend)
        and kinds <= PATH_WISE
        and getattr(config, "attn_logit_softcapping", None) is None
        and config.model_type not in WITH_SINKS
    )


def unshared_states(network: PreTrainedModel, forest: Forest) -> torch.Tensor:
    """Last hidden states (N, D) by the network's own layers: each path from root to leaf is run as plain text.

    A row that several paths share is computed in each of them, and taken from the first. The copies are equal, so
    loss and gradients are those of the shared computation.
    """
    decoder = network.get_decoder()
    known = torch.zeros(forest.unique_tokens, dtype=torch.bool, device=forest.ids_N.device)
    rows, states = [], []
    for path in _leaf_paths(forest):
        path = path.to(known.device)
        hidden = decoder(input_ids=forest.ids_N[path][None], use_cache=False).last_hidden_state[0]
        is_new = ~known[path]
        rows.append(path[is_new])
        states.append(hidden[is_new])
        known[path] = True
    return torch.cat(states)[torch.argsort(torch.cat(rows))]


def _leaf_paths(forest: Forest) -> Iterator[torch.Tensor]:
    """The rows from the root to each segment that nothing grows from."""
    following: list[Segment | None] = [*forest.segments[1:], None]
    for segment, after in zip(forest.segments, following, strict=True):
        if after is None or after.depth != segment.depth + segment.end - segment.start:
            spans = (*segment.ancestors, (segment.start, segment.end))
            yield torch.cat([torch.arange(start, end) for start, end in spans])
