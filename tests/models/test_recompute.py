"""Blocks that are computed once more give the very same gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sonneteer.models.adapters import add_adapter
from sonneteer.models.forest import plant
from sonneteer.models.fused import shorten
from sonneteer.models.layers import thaw
from sonneteer.models.logprobs import loss_sum
from sonneteer.models.recompute import recompute_blocks
from sonneteer.models.trunk import keep_trunk
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered

from .networks import network

SEQUENCES = [
    Rendered([5, 6, 7, *range(first, first + length)], [0.0] * 3 + [1.0] * length)
    for first, length in ((20, 9), (20, 30), (24, 5), (90, 40), (90, 7))
]


def gradients(family: str, method: str, recomputes: bool, is_short: bool) -> dict[str, torch.Tensor]:
    net = network(family)
    if method == "lora":
        add_adapter(net, TrainingSettings(rank=4, dropout=0.2), seed=1)
        for name, parameter in net.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    if is_short:
        shorten(net)
    if recomputes:
        recompute_blocks(net)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_short):
        loss = loss_sum(net.train(), plant(SEQUENCES))
    loss.backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None} | {"loss": loss.detach()}


@pytest.mark.parametrize(("method", "is_short"), [("lora", False), ("full", False), ("lora", True)])
@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gemma3"])
def test_gradients_are_bit_for_bit_those_of_blocks_that_keep_everything(
    family: str, method: str, is_short: bool
) -> None:
    kept, again = (gradients(family, method, recomputes, is_short) for recomputes in (False, True))
    assert kept.keys() == again.keys()
    for name in kept:
        assert torch.equal(kept[name], again[name]), name


def test_without_gradients_nothing_is_computed_twice() -> None:
    net, calls = network("llama"), []
    recompute_blocks(net)
    net.get_decoder().layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        loss_sum(net, plant(SEQUENCES))
    assert len(calls) == 1
    loss_sum(net.requires_grad_(True), plant(SEQUENCES)).backward()
    assert len(calls) == 3


def test_blocks_that_learn_recompute_also_above_a_kept_trunk(tmp_path: Path) -> None:
    net, calls = network("llama"), []
    thaw(net, "last 1")
    recompute_blocks(net)
    trunk = keep_trunk(net, SEQUENCES, 64, tmp_path / "trunk")
    net.get_decoder().layers[1].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    forest = plant(SEQUENCES)
    trunk.hidden_states(forest, SEQUENCES).sum().backward()
    assert len(calls) == 2
