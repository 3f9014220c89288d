"""RMSNorm: w * x / sqrt(mean(x^2) + e) (arXiv 1910.07467).

On a processor PyTorch's own takes twice as long as what stands here. One row is normed by a single operation: a vector
beside its negative has a mean of 0 and a variance of mean(x^2), so the LayerNorm of both is the RMSNorm of each. Of
several rows it is slower, since LayerNorm has all threads woken for them.

Shape letters: N rows, D width, H heads, E width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.Module):
    """A layer's norm, its weights in the precision in which it is computed."""

    def __init__(self, layer: Any, epsilon: float) -> None:
        super().__init__()
        weight: Tensor = layer.weight.data
        self.weight_D = weight if weight.is_cuda else weight.float()
        self.twice_2D = self.weight_D.repeat(2)
        self.epsilon = epsilon

    def forward(self, x_ND: Tensor) -> Tensor:
        """The rows, normed."""
        width = x_ND.shape[1]
        if x_ND.is_cuda:
            return functional.rms_norm(x_ND, [width], self.weight_D, self.epsilon)
        if len(x_ND) == 1:
            beside = torch.cat((x_ND, -x_ND), 1)
            return functional.layer_norm(beside, [2 * width], self.twice_2D, None, self.epsilon)[:, :width]
        return scaled(x_ND, self.epsilon).mul_(self.weight_D).to(x_ND.dtype)


class HeadsNorm(nn.Module):
    """The norm of each head of queries and keys, each by weights of its own."""

    def __init__(self, weight_HE: Tensor, epsilon: float) -> None:
        super().__init__()
        self.weight_HE = weight_HE
        self.epsilon = epsilon

    def forward(self, x_NHE: Tensor) -> Tensor:
        """The heads, normed."""
        if x_NHE.is_cuda:
            return functional.rms_norm(x_NHE, [x_NHE.shape[2]], None, self.epsilon) * self.weight_HE
        return scaled(x_NHE, self.epsilon).to(x_NHE.dtype) * self.weight_HE


def scaled(x: Tensor, epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + e) in float32, on a processor."""
    lengths: Tensor = torch.ops.aten.linalg_vector_norm(x, 2.0, [-1], True, dtype=torch.float32)
    return x * lengths.square_().mul_(1 / x.shape[-1]).add_(epsilon).rsqrt_()
