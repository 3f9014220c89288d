"""Rows of new tokens: PEFT's trainable tokens, read row by row instead of from a copy of the whole table.

Shape letters: K new tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.utils.other import TrainableTokensWrapper
from transformers import PreTrainedModel

ADAPTER = "default"


def token_tables(network: PreTrainedModel) -> list[torch.nn.Parameter]:
    """The matrices with a row for each token: of the embeddings and, where it is apart, of the output layer."""
    return [layer.weight for layer in _layers(network)]


def table_names(network: PreTrainedModel) -> list[str]:
    """What the layers that hold these matrices are called."""
    names = {id(module): name.rpartition(".")[2] for name, module in network.named_modules()}
    return [names[id(layer)] for layer in _layers(network)]


def _layers(network: PreTrainedModel) -> list[Any]:
    both = [_unwrapped(network.get_input_embeddings()), _unwrapped(network.get_output_embeddings())]
    return both[:1] if both[0].weight is both[1].weight else both


def _unwrapped(layer: Any) -> Any:
    return layer.original_module if isinstance(layer, TrainableTokensWrapper) else layer


def make_room(network: PreTrainedModel, ids: Sequence[int]) -> None:
    """Let the tables have a row for each of the ids. Many networks have some to spare."""
    if ids and max(ids) >= len(token_tables(network)[0]):
        network.resize_token_embeddings(max(ids) + 1, mean_resizing=False)


@torch.no_grad()
def start_from_pieces(network: PreTrainedModel, pieces: Mapping[int, Sequence[int]]) -> None:
    """Give each new token the mean of its pieces' rows, in what the network reads and in what it writes."""
    make_room(network, list(pieces))
    for table in token_tables(network):
        for new_id, old_ids in pieces.items():
            table[new_id] = table[list(old_ids)].mean(0)


def output_table(network: PreTrainedModel) -> torch.Tensor:
    """The output layer's matrix, (V, D), with the new tokens' rows as they are learned."""
    head = network.get_output_embeddings()
    if not isinstance(head, TrainableTokensWrapper):
        weight: torch.Tensor = head.weight
        return weight
    layer = head.token_adapter
    if layer.disable_adapters or layer.merged:
        weight = layer.get_base_layer().weight
    else:
        weight = layer.get_merged_weights(layer.active_adapters)
    return weight


def read_by_row(network: torch.nn.Module) -> None:
    """Let embeddings with trained rows look these up alone."""
    for layer in network.modules():
        if isinstance(layer, TrainableTokensLayer) and isinstance(layer.get_base_layer(), torch.nn.Embedding):
            ids = torch.tensor(layer.token_indices[ADAPTER])
            assert torch.equal(ids, torch.arange(len(ids)) + ids[0]), "new tokens follow one another"
            layer.forward = partial(_read, layer, int(ids[0]))


def _read(layer: TrainableTokensLayer, first: int, ids: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
    read: torch.Tensor
    if layer.disable_adapters or layer.merged or layer.active_adapters != [ADAPTER]:
        read = TrainableTokensLayer.forward(layer, ids, *others, **named)
        return read
    rows_KD, old = layer.trainable_tokens_delta[ADAPTER], layer.get_base_layer()(ids)
    scale = layer._get_embed_scale()  # Gemma's embeddings multiply what they read
    if scale is not None:
        rows_KD = rows_KD * scale.to(rows_KD.dtype)
    places = ids - first
    is_new = (places >= 0) & (places < len(rows_KD))
    new = torch.nn.functional.embedding(places.clamp(0, len(rows_KD) - 1), rows_KD).to(old.dtype)
    return torch.where(is_new[..., None], new, old)
