"""Products with weights, for few rows: where the processor allows it, the weights lie in the order that oneDNN reads.

A step with few rows is mostly the reading of weights from memory. Packed ones are read nearly twice as fast, in the
same precision.

Shape letters: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sonneteer.models.hardware import use_large_pages

PACKED_FOR = 64  # rows; such an order suits one row and many as well
PROBE_ROWS = 3
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 2e-2}  # of the largest output
ONEDNN: Any = torch.ops.mkldnn


class Product(nn.Module):
    """Linear layers that read the same input, as one. Their weights become views of the joined ones."""

    def __init__(self, *layers: nn.Linear) -> None:
        super().__init__()
        self._layers = layers
        self.is_packed = False
        """Whether the weights lie in oneDNN's order."""
        self.weight_OI = _joined(layers, "weight")
        self.bias_O = None if layers[0].bias is None else _joined(layers, "bias")
        self.out_features, self.in_features = self.weight_OI.shape

    def forward(self, x_NI: Tensor) -> Tensor:
        """The outputs (N, O)."""
        if self.is_packed:
            told: Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, self.weight_OI, self.bias_O, "none", [], "")
            return told
        return functional.linear(x_NI, self.weight_OI, self.bias_O)

    def pack(self, keeps_layers: bool) -> None:
        """Order the weights for reading, if that is of use here. Layers that are not kept are of no use afterwards."""
        packed = _packed(self.weight_OI) if _is_packable(self.weight_OI) else None
        if packed is None:
            return
        self.weight_OI, self.is_packed = packed, True
        use_large_pages(ONEDNN.data_ptr(packed), ONEDNN._nbytes(packed))
        if not keeps_layers:
            for layer in self._layers:
                layer.weight.data = layer.weight.data.new_empty(0)


def _joined(layers: tuple[nn.Linear, ...], name: str) -> Tensor:
    parts = [getattr(layer, name) for layer in layers]
    if len(parts) == 1:
        alone: Tensor = parts[0].data
        return alone
    joined = torch.cat([part.data for part in parts])
    for part, view in zip(parts, torch.split(joined, [len(part) for part in parts]), strict=True):
        part.data = view
    return joined


def _is_packable(weight_OI: Tensor) -> bool:
    is_there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if weight_OI.device.type != "cpu" or not is_there:
        return False
    is_fast = weight_OI.dtype == torch.bfloat16 and ONEDNN._is_mkldnn_bf16_supported()
    return bool(is_fast or weight_OI.dtype == torch.float32)


def _packed(weight_OI: Tensor) -> Tensor | None:
    """The weights in that order; None where it does not compute the same with them."""
    size = PROBE_ROWS * weight_OI.shape[1]
    probe_NI = torch.arange(size).sin().view(PROBE_ROWS, -1).to(weight_OI.dtype)
    true = functional.linear(probe_NI, weight_OI)
    try:
        packed: Tensor = ONEDNN._reorder_linear_weight(weight_OI, PACKED_FOR)
        told = ONEDNN._linear_pointwise(probe_NI, packed, None, "none", [], "")
    except RuntimeError:  # not on this processor
        return None
    is_same = (told - true).abs().max() <= TOLERANCES[weight_OI.dtype] * true.abs().max()
    return packed if is_same else None
