"""RMSNorm: w * x / sqrt(mean(x^2) + e) (arXiv 1910.07467).

On a processor PyTorch computes it by many small operations, but LayerNorm by one. A vector beside its negative has a
mean of 0 and a variance of mean(x^2), so the LayerNorm of both is the RMSNorm of each.

Shape letters: N rows, D width, H heads, E width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FEW_ROWS = 32  # LayerNorm of twice the width is slower for many


class Norm:
    """A layer's norm, its weights in the precision in which it is computed."""

    def __init__(self, layer: Any, epsilon: float) -> None:
        weight: Tensor = layer.weight.data
        self._weight_D = weight if weight.is_cuda else weight.float()
        self._twice_2D = self._weight_D.repeat(2)
        self._epsilon = epsilon

    def __call__(self, x_ND: Tensor) -> Tensor:
        """The rows, normed."""
        if x_ND.is_cuda:
            return functional.rms_norm(x_ND, x_ND.shape[1:], self._weight_D, self._epsilon)
        if len(x_ND) <= FEW_ROWS:
            return _beside_negative(x_ND, self._twice_2D, self._epsilon)
        long = x_ND.float()
        lengths: Tensor = torch.linalg.vector_norm(long, dim=-1, keepdim=True)
        scales = lengths.square_().mul_(1 / x_ND.shape[1]).add_(self._epsilon).rsqrt_()
        return (long * scales).mul_(self._weight_D).to(x_ND.dtype)


def heads_norm(x_NHE: Tensor, weight_HE: Tensor, epsilon: float) -> Tensor:
    """The norm of each head, each by weights of its own."""
    if x_NHE.is_cuda:
        return functional.rms_norm(x_NHE, x_NHE.shape[2:], None, epsilon) * weight_HE
    return _beside_negative(x_NHE, None, epsilon) * weight_HE


def _beside_negative(x: Tensor, twice_2D: Tensor | None, epsilon: float) -> Tensor:
    width = x.shape[-1]
    return functional.layer_norm(torch.cat((x, -x), -1), (2 * width,), twice_2D, None, epsilon)[..., :width]
