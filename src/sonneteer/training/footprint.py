"""What a network takes of the memory by formula: its weights, what is trained, and what each further token keeps.

The coefficients were counted with autograd's hooks for saved tensors on Llama-, Qwen3-, Gemma- and Mistral-shaped
networks; the tests count again. Past runs correct what is left out, see `plan.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from sonneteer.models.fused import has_lean_gate, has_lean_norms
from sonneteer.models.layers import frozen_blocks
from sonneteer.models.new_rows import output_table, token_tables
from sonneteer.recipe.sections import TrainingSettings

FLOAT, SHORT = 4, 2  # bytes of a number
BITS = {"8bit": 1.0, "4bit": 0.52}  # bytes of a quantised weight; 4bit with the scales of its blocks
LOGIT_ROWS = 256  # the head computes so many at once


class Sizes(NamedTuple):
    """What is known of a network without its weights."""

    parameters: int
    trained: int
    embedded: int
    """Parameters of the embedding and of the output layer, once where they are the same."""
    blocks: int
    """Parameters inside the linear layers of the blocks that are not trained: what a quantised base packs."""
    head: int
    """Parameters of the output layer."""
    layers: int
    frozen_layers: int
    """Of these the lowest, which never change and keep nothing."""
    below: int
    """Parameters of the frozen layers."""
    width: int
    inner: int
    """Width of the gated feed-forward layer."""
    query: int
    """Width of all query heads together."""
    keys: int
    """Width of all key heads together; the values' is the same."""
    vocabulary: int
    head_learns: bool
    has_normed_queries: bool
    has_lean_norms: bool
    """With an adapter they keep what they read, and no copy of it in float32."""
    has_lean_gate: bool
    """With an adapter it is made again in the backward."""

    @property
    def trunk(self) -> int:
        """Parameters that every token passes."""
        return self.parameters - self.embedded


def sizes_of(network: PreTrainedModel) -> Sizes:
    """Read off a network; it may lie on the meta device. What will be trained requires gradients."""
    config, blocks = network.config.get_text_config(), network.get_decoder().layers
    head, tables = output_table(network), token_tables(network)
    heads = config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    linear = [m.weight for m in blocks.modules() if isinstance(m, torch.nn.Linear) and not m.weight.requires_grad]
    return Sizes(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        trained=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        embedded=sum(table.numel() for table in tables),
        blocks=sum(weight.numel() for weight in linear),
        head=head.numel(),
        layers=len(blocks),
        frozen_layers=frozen_blocks(network),
        below=sum(parameter.numel() for block in blocks[: frozen_blocks(network)] for parameter in block.parameters()),
        width=config.hidden_size,
        inner=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        query=heads * head_width,
        keys=(getattr(config, "num_key_value_heads", None) or heads) * head_width,
        vocabulary=config.vocab_size,
        head_learns=head.requires_grad,
        has_normed_queries=any(name.endswith("q_norm") for name, _ in blocks[0].named_modules()),
        has_lean_norms=has_lean_norms(blocks[0]),
        has_lean_gate=has_lean_gate(blocks[0]),
    )


def loaded_bytes(sizes: Sizes, settings: TrainingSettings) -> float:
    """While the base is opened: all of it in float32, whatever is kept of it later."""
    packed = 0 if settings.base_weights == "whole" else sizes.blocks * (FLOAT - BITS[settings.base_weights])
    return sizes.parameters * FLOAT - packed


def weight_bytes(sizes: Sizes, settings: TrainingSettings, is_short: bool) -> float:
    """The frozen weights as training keeps them, and what is trained in float32."""
    one = SHORT if is_short else FLOAT
    packed = 0 if settings.base_weights == "whole" else sizes.blocks
    frozen = sizes.parameters - sizes.trained - packed
    return frozen * one + packed * BITS.get(settings.base_weights, one) + sizes.trained * FLOAT


def trained_bytes(sizes: Sizes, settings: TrainingSettings, is_short: bool) -> float:
    """What training adds to the weights: gradients, the optimizer's moments, averages, and autocast's short copies."""
    moments = 1 if settings.optimizer == "muon" else 2
    copies = 1 + moments + (settings.average is not None)
    return sizes.trained * (copies * FLOAT + (SHORT if is_short and settings.method == "full" else 0))


def anchor_bytes(sizes: Sizes, settings: TrainingSettings) -> float:
    """The starting model that `training.anchor` holds on to: with an adapter it is there anyway."""
    return sizes.parameters * FLOAT if settings.anchor and settings.method == "full" else 0.0


def head_bytes(sizes: Sizes, settings: TrainingSettings, has_guide: bool) -> float:
    """Logits of the rows at hand, of a guide's too, and the gradient of an output layer that is trained."""
    logits = LOGIT_ROWS * sizes.vocabulary * 2 * FLOAT * (3 if has_guide else 1)
    copies = 3 if settings.method == "full" else 4  # an adapter's rows are laid into a copy
    return logits + (copies * FLOAT * sizes.head if sizes.head_learns else 0)


def row_bytes(sizes: Sizes, settings: TrainingSettings, is_short: bool, recomputes: bool) -> float:
    """What one more token of a micro-batch keeps for the backward pass."""
    block = _block_bytes(sizes, settings, is_short)
    ends = 3 * FLOAT * sizes.width
    learning = sizes.layers - sizes.frozen_layers
    if not recomputes:
        return learning * block + block + ends
    stream = SHORT if is_short and settings.method == "lora" else FLOAT
    return learning * sizes.width * stream + 2 * block + ends  # one block's, and its gradients


def passing_bytes(sizes: Sizes) -> float:
    """What one more token takes of a network without gradients: one block's work, and the last hidden states."""
    return FLOAT * (4 * sizes.width + 2 * sizes.query + 3 * sizes.inner)


def cache_bytes(sizes: Sizes, is_short: bool) -> float:
    """Keys and values of one token of an answer that is being written."""
    return 2 * sizes.layers * sizes.keys * (SHORT if is_short else FLOAT)


def _block_bytes(sizes: Sizes, settings: TrainingSettings, is_short: bool) -> float:
    one, heads = SHORT if is_short else FLOAT, 2 * (sizes.query + sizes.keys)
    if settings.method == "full":
        normed = FLOAT * (sizes.query + sizes.keys) if sizes.has_normed_queries else 0
        return 4 * one * sizes.inner + FLOAT * (7 * sizes.width + heads) + normed
    kept = one * ((3 if sizes.has_lean_gate else 4) * sizes.inner + heads)
    kept += one * (4 if sizes.has_lean_norms else 5) * sizes.width
    if is_short and not sizes.has_lean_norms:
        kept += 5 * sizes.width  # norms compute in float32
    if sizes.has_normed_queries:
        kept += (one if sizes.has_lean_norms else FLOAT) * (sizes.query + sizes.keys)
    if settings.dropout:
        kept += one * (5 * sizes.width + sizes.query + sizes.inner)
    return kept
