"""One pass of a forest through a network: hidden states, the loss, and how likely each learned token is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from sonneteer.models.attention import forest_attention, plan_of
from sonneteer.models.families import shares_prefixes, unshared_states
from sonneteer.models.forest import Forest, budgeted, plant
from sonneteer.models.head import Head, Predictions, cross_entropy, predictions
from sonneteer.models.new_rows import output_table
from sonneteer.records import Rendered

ROWS_STEP = 128
"""A processor's library builds a kernel for each new number of rows, and keeps it: 20 to 40 ms and half a megabyte
each, more than the idle rows ever cost."""


def hidden_states(network: PreTrainedModel, forest: Forest) -> torch.Tensor:
    """Last hidden states after the final norm, (N, D), each unique token computed once where the layers allow it."""
    if not shares_prefixes(network):
        return unshared_states(network, forest)
    decoder, filled = network.get_decoder(), forest.filled(ROWS_STEP)
    with forest_attention(network):
        output = decoder(
            input_ids=filled.ids_N[None],
            position_ids=filled.positions_N[None],
            use_cache=False,
            forest_plan=plan_of(filled),
        )
    hidden: torch.Tensor = output.last_hidden_state[0, : forest.unique_tokens]
    return hidden


def head_of(network: PreTrainedModel) -> Head:
    """The output layer, with the cap on its logits that Gemma 2 has."""
    return Head(output_table(network), getattr(network.config.get_text_config(), "final_logit_softcapping", None))


def loss_sum(network: PreTrainedModel, forest: Forest) -> torch.Tensor:
    """Weighted sum of -log p over the forest's terms, in nats, differentiable."""
    return cross_entropy(hidden_states(network, forest), head_of(network), forest.terms)


@torch.no_grad()
def predict(network: PreTrainedModel, forest: Forest) -> Predictions:
    """Log-probability of each term's target, and whether it was the first choice."""
    return predictions(hidden_states(network, forest), head_of(network), forest.terms)


def forests(
    sequences: Sequence[Rendered], unique_tokens: int, device: torch.device
) -> Iterator[tuple[list[int], Forest]]:
    """The sequences as forests of at most `unique_tokens` each, with the indices that each one holds."""
    for group in budgeted(sequences, unique_tokens):
        yield group, plant([sequences[i] for i in group]).to(device)
