"""One pass of a forest through a network: hidden states, the loss, and how likely each learned token is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from sonneteer.models.attention import forest_attention, plan_of
from sonneteer.models.families import shares_prefixes, unshared_states
from sonneteer.models.forest import Forest, budgeted, plant
from sonneteer.models.head import Predictions, cross_entropy, predictions
from sonneteer.records import Rendered


def hidden_states(network: PreTrainedModel, forest: Forest) -> torch.Tensor:
    """Last hidden states after the final norm, (N, D), each unique token computed once where the layers allow it."""
    if not shares_prefixes(network):
        return unshared_states(network, forest)
    decoder = network.get_decoder()
    with forest_attention(network):
        output = decoder(
            input_ids=forest.ids_N[None],
            position_ids=forest.positions_N[None],
            use_cache=False,
            forest_plan=plan_of(forest),
        )
    hidden: torch.Tensor = output.last_hidden_state[0]
    return hidden


def head_weight(network: PreTrainedModel) -> torch.Tensor:
    """The output layer's matrix, (V, D)."""
    weight: torch.Tensor = network.get_output_embeddings().weight
    return weight


def loss_sum(network: PreTrainedModel, forest: Forest) -> torch.Tensor:
    """Weighted sum of -log p over the forest's terms, in nats, differentiable."""
    return cross_entropy(hidden_states(network, forest), head_weight(network), forest.terms)


@torch.no_grad()
def predict(network: PreTrainedModel, forest: Forest) -> Predictions:
    """Log-probability of each term's target, and whether it was the first choice."""
    return predictions(hidden_states(network, forest), head_weight(network), forest.terms)


def forests(
    sequences: Sequence[Rendered], unique_tokens: int, device: torch.device
) -> Iterator[tuple[list[int], Forest]]:
    """The sequences as forests of at most `unique_tokens` each, with the indices that each one holds."""
    for group in budgeted(sequences, unique_tokens):
        yield group, plant([sequences[i] for i in group]).to(device)
