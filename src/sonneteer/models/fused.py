"""LoRA beside a frozen linear layer in one hand-written step: short products, float32 masters, few allocations.

PEFT adds the adapter's contribution in float32 and several passes over memory; on a processor that takes as long as
the product itself. The layers stay PEFT's own: only how they compute while an adapter is trained is replaced.

Shape letters: N rows, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear

ADAPTER = "default"


class _Fused(torch.autograd.Function):
    """y = x W' + b + scale * z A' B', where z is x after dropout (None if it is x itself); W and b are frozen."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, z: torch.Tensor | None, base: torch.nn.Linear, *adapter: Any) -> Any:
        masters_a, masters_b, scale = adapter
        a_RI, b_OR = masters_a.to(x.dtype), masters_b.to(x.dtype)
        inner_NR = ((x if z is None else z) @ a_RI.t()).mul_(scale)
        out_NO = torch.nn.functional.linear(x, base.weight, base.bias)
        ctx.save_for_backward(x if z is None else z, inner_NR, base.weight, a_RI, b_OR)
        ctx.scale, ctx.has_dropout = scale, z is not None
        return out_NO.addmm_(inner_NR, b_OR.t())

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_NO,) = grads
        z_NI, inner_NR, weight_OI, a_RI, b_OR = ctx.saved_tensors
        grad_inner_NR = (grad_NO @ b_OR).mul_(ctx.scale)
        grad_a, grad_b = (grad_inner_NR.t() @ z_NI).float(), (grad_NO.t() @ inner_NR).float()
        grad_x = grad_NO @ weight_OI if ctx.needs_input_grad[0] else None
        grad_z = grad_inner_NR @ a_RI if ctx.has_dropout else None
        if grad_x is not None and not ctx.has_dropout:
            grad_x.addmm_(grad_inner_NR, a_RI)
        return grad_x, grad_z, None, grad_a, grad_b, None


def fuse(network: torch.nn.Module) -> None:
    """Let the network's LoRA layers compute in one step. A layer with more than plain LoRA stays as it is."""
    for layer in network.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            layer.forward = partial(_forward, layer)


def shorten(network: torch.nn.Module) -> None:
    """Keep the frozen weights of matrices and norms in bfloat16; what is trained stays in float32."""
    for parameter in network.parameters():
        if not parameter.requires_grad and parameter.dtype == torch.float32:
            parameter.data = parameter.data.to(torch.bfloat16)


def _is_plain(layer: Linear) -> bool:
    base = layer.get_base_layer()
    has_bias = getattr(layer.lora_B[ADAPTER], "bias", None) is not None
    return type(base) is torch.nn.Linear and not layer.lora_variant and not has_bias and not base.weight.requires_grad


def _forward(layer: Linear, x: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
    out: torch.Tensor
    if layer.disable_adapters or layer.merged or layer.active_adapters != [ADAPTER]:
        out = Linear.forward(layer, x, *others, **named)
        return out
    base, dropout = layer.get_base_layer(), layer.lora_dropout[ADAPTER]
    rows_NI = x.reshape(-1, x.shape[-1]).to(base.weight.dtype)
    is_dropped = layer.training and not isinstance(dropout, torch.nn.Identity)
    dropped_NI = dropout(rows_NI) if is_dropped else None
    masters = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    out = _Fused.apply(rows_NI, dropped_NI, base, *masters, layer.scaling[ADAPTER])  # type: ignore[no-untyped-call]
    return out.view(*x.shape[:-1], -1)
