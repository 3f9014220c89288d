"""Which blocks of a network learn, and how a network is read without its adapter or with noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from sonneteer.errors import RecipeError


def chosen_blocks(network: PreTrainedModel, layers: str) -> list[int]:
    """Numbers of the blocks that `training.layers` names: 'all', 'last 4', 'first 4' or '8-15'.

    Raises RecipeError where the network has fewer.
    """
    count = len(network.get_decoder().layers)
    numbers = [int(number) for number in re.findall(r"\d+", layers)]
    if layers == "all":
        return list(range(count))
    first, last = (numbers[0], numbers[1]) if "-" in layers else (0, numbers[0] - 1)
    if last >= count or first > last:
        raise RecipeError(
            f"training.layers: '{layers}' does not fit: the base model has {count} blocks, 0 to {count - 1}."
        )
    return list(range(count - numbers[0], count) if layers.startswith("last") else range(first, last + 1))


def linear_names(network: PreTrainedModel) -> list[str]:
    """Names of the linear layers inside the blocks, as in `q_proj`."""
    named = network.get_decoder().layers.named_modules()
    return sorted({name.rpartition(".")[2] for name, module in named if isinstance(module, torch.nn.Linear)})


def thaw(network: PreTrainedModel, layers: str) -> None:
    """Let only the chosen blocks learn, all of their weights; 'all' includes embeddings and output."""
    network.requires_grad_(layers == "all")
    if layers != "all":
        for number in chosen_blocks(network, layers):
            network.get_decoder().layers[number].requires_grad_(True)


def frozen_blocks(network: PreTrainedModel) -> int:
    """How many of the lowest blocks make the same of a text at every step: nothing in them or below them learns."""
    if any(parameter.requires_grad for parameter in network.get_input_embeddings().parameters()):
        return 0
    blocks = network.get_decoder().layers
    learning = (number for number, block in enumerate(blocks) if any(p.requires_grad for p in block.parameters()))
    return next(learning, 0)


def has_adapter(network: PreTrainedModel) -> bool:
    """Whether LoRA layers stand in the network."""
    return any(isinstance(module, BaseTunerLayer) for module in network.modules())


@contextmanager
def without_adapter(network: PreTrainedModel) -> Iterator[None]:
    """The network as its base was."""
    layers = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@contextmanager
def noisy_embeddings(network: PreTrainedModel, alpha: float, tokens: float) -> Iterator[None]:
    """Add noise to what is read (NEFTune, arXiv 2310.05914, page 4): uniform up to alpha / sqrt(tokens * width).

    `tokens` is the mean length of a sequence. A prefix that sequences share has one noise for all of them.
    """
    if not alpha:
        yield
        return

    def add(_: torch.nn.Module, __: object, embedded: torch.Tensor) -> torch.Tensor:
        largest: float = alpha / (tokens * embedded.shape[-1]) ** 0.5
        return embedded + torch.empty_like(embedded).uniform_(-largest, largest)

    handle = network.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
