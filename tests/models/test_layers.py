"""Which blocks learn, the network without its adapter, and noise on what is read."""

from __future__ import annotations

import pytest
import torch

from sonneteer.errors import RecipeError
from sonneteer.models.adapters import add_adapter
from sonneteer.models.layers import chosen_blocks, has_adapter, noisy_embeddings, thaw, without_adapter
from sonneteer.recipe.sections import TrainingSettings

from .networks import network

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.mark.parametrize(("layers", "blocks"), [("all", [0, 1]), ("last 1", [1]), ("first 1", [0]), ("0-1", [0, 1])])
def test_blocks_are_named_from_either_end(layers: str, blocks: list[int]) -> None:
    assert chosen_blocks(network("llama"), layers) == blocks


@pytest.mark.parametrize("layers", ["last 3", "first 3", "1-2", "1-0"])
def test_blocks_that_are_not_there_are_refused_with_those_that_are(layers: str) -> None:
    with pytest.raises(RecipeError, match="2 blocks, 0 to 1"):
        chosen_blocks(network("llama"), layers)


def test_full_training_of_some_blocks_freezes_all_else() -> None:
    model = network("qwen3")
    thaw(model, "last 1")
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(name.startswith("model.layers.1.") for name in trained)
    thaw(model, "all")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_without_its_adapter_a_network_is_its_base_and_afterwards_learns_on() -> None:
    model = network("qwen2")
    expected = model(input_ids=IDS).logits.detach()
    assert not has_adapter(model)
    add_adapter(model, TrainingSettings(rank=4), seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert has_adapter(model)
    with without_adapter(model):
        torch.testing.assert_close(model(input_ids=IDS).logits, expected)
    assert not torch.allclose(model(input_ids=IDS).logits, expected)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == trained


@torch.no_grad()
def test_noise_is_as_large_as_its_paper_says_and_leaves_no_trace() -> None:
    model = network("llama")
    read = model.get_input_embeddings()
    quiet = read(IDS)
    with noisy_embeddings(model, alpha=5, tokens=10):
        noise = read(IDS.repeat(1, 100)) - quiet.repeat(1, 100, 1)
    largest = 5 / (10 * 32) ** 0.5
    assert float(noise.abs().max()) <= largest + 1e-6
    assert float(noise.std()) == pytest.approx(largest / 3**0.5, rel=0.05)
    torch.testing.assert_close(read(IDS), quiet)
