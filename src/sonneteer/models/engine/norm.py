"""RMSNorm: w * x / sqrt(mean(x^2) + e) (arXiv 1910.07467).

On a processor PyTorch's own takes twice as long as what stands here. One row is normed by a single operation: a vector
beside its negative has a mean of 0 and a variance of mean(x^2), so the LayerNorm of both is the RMSNorm of each. Of
several rows it is slower, since LayerNorm has all threads woken for them.

Shape letters: N rows, D width, H heads, E width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Norm:
    """A layer's norm, its weights in the precision in which it is computed."""

    def __init__(self, layer: Any, epsilon: float) -> None:
        weight: Tensor = layer.weight.data
        self._weight_D = weight if weight.is_cuda else weight.float()
        self._twice_2D = self._weight_D.repeat(2)
        self._epsilon = epsilon

    def __call__(self, x_ND: Tensor) -> Tensor:
        """The rows, normed."""
        width = x_ND.shape[1]
        if x_ND.is_cuda:
            return functional.rms_norm(x_ND, (width,), self._weight_D, self._epsilon)
        if len(x_ND) == 1:
            beside = torch.cat((x_ND, -x_ND), 1)
            return functional.layer_norm(beside, (2 * width,), self._twice_2D, None, self._epsilon)[:, :width]
        return _scaled(x_ND, self._epsilon).mul_(self._weight_D).to(x_ND.dtype)


def heads_norm(x_NHE: Tensor, weight_HE: Tensor, epsilon: float) -> Tensor:
    """The norm of each head, each by weights of its own."""
    if x_NHE.is_cuda:
        return functional.rms_norm(x_NHE, x_NHE.shape[2:], None, epsilon) * weight_HE
    return _scaled(x_NHE, epsilon).to(x_NHE.dtype) * weight_HE


def _scaled(x: Tensor, epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + e) in float32, on a processor."""
    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return x * lengths.square_().mul_(1 / x.shape[-1]).add_(epsilon).rsqrt_()
