"""Products with packed weights are the layers' own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sonneteer.models.engine.product import Product


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["plain", "bias"])
@torch.inference_mode()
def test_joined_and_packed_layers_compute_what_each_computes(dtype: torch.dtype, has_bias: bool) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(48, size, bias=has_bias, dtype=dtype) for size in (96, 32, 16)]
    for rows in (1, 3, 64, 200):
        x = torch.randn(rows, 48, dtype=dtype)
        true = torch.cat([layer(x) for layer in layers], -1)
        product = Product(*layers)
        assert torch.equal(torch.cat([layer(x) for layer in layers], -1), true)
        product.pack(keeps_layers=True)
        told = product(x)
        assert torch.allclose(told, true, atol=1e-5 if dtype == torch.float32 else 2e-2)
    assert (product.in_features, product.out_features) == (48, 144)


def test_layers_that_are_not_kept_hold_no_memory_where_weights_are_packed() -> None:
    layers = [nn.Linear(48, 96), nn.Linear(48, 32)]
    product = Product(*layers)
    product.pack(keeps_layers=False)
    assert all(layer.weight.numel() == 0 for layer in layers) == product.is_packed
