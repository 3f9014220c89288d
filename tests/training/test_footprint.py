"""The formula for what a token keeps is what autograd really keeps."""

from __future__ import annotations

import random

import pytest
import torch

from sonneteer.models.adapters import add_adapter
from sonneteer.models.forest import plant
from sonneteer.models.fused import shorten
from sonneteer.models.logprobs import loss_sum
from sonneteer.models.recompute import recompute_blocks
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.footprint import cache_bytes, row_bytes, sizes_of, weight_bytes

from ..models.networks import FAMILIES, SHAPE

LAYERS = (2, 6)


def kept_bytes(family: str, layers: int, settings: TrainingSettings, recomputes: bool) -> tuple[float, float]:
    """Bytes that autograd keeps for a token, and what the formula says."""
    kind, config, extra = FAMILIES[family]
    shape = SHAPE | extra | {"num_hidden_layers": layers, "hidden_size": 64, "intermediate_size": 192, "head_dim": 16}
    net, is_short = kind(config(**shape)).float(), settings.precision == "bfloat16"
    if settings.method == "lora":
        add_adapter(net, settings, 0)
    formula = row_bytes(sizes_of(net), settings, is_short, recomputes)
    if is_short:
        shorten(net)
    if recomputes:
        recompute_blocks(net)
    rng = random.Random(0)
    forest = plant([Rendered([rng.randrange(5, 390) for _ in range(64)], [0.0] * 32 + [1.0] * 32) for _ in range(4)])
    weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_short), hooks:
        loss = loss_sum(net.train(), forest)
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values()) / forest.unique_tokens, formula


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma"])
def test_each_further_block_keeps_what_the_formula_says(
    family: str, method: str, precision: str, recomputes: bool
) -> None:
    settings = TrainingSettings.model_validate({"method": method, "precision": precision, "rank": 4})
    (few, few_said), (many, many_said) = (kept_bytes(family, layers, settings, recomputes) for layers in LAYERS)
    assert many_said - few_said == pytest.approx(many - few, rel=0.2)


def test_a_quantised_base_takes_an_eighth_of_its_matrices() -> None:
    from ..models.networks import network

    net = network("llama").requires_grad_(False)
    sizes = sizes_of(net)
    whole, packed = (
        weight_bytes(sizes, TrainingSettings.model_validate({"base_weights": bits}), is_short=False)
        for bits in ("whole", "4bit")
    )
    assert whole == sizes.parameters * 4
    assert whole - packed == pytest.approx(sizes.blocks * 3.5, rel=0.01)
    assert 0 < sizes.blocks < sizes.trunk < sizes.parameters
    assert cache_bytes(sizes, is_short=False) == 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, width, float32
