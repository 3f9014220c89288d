"""What a network computes beside its large products, in few passes over memory: LoRA, norms and gates.

PEFT adds the adapter's contribution in float32 and several passes; on a processor that takes as long as the product
itself. Norms and gates keep less for the backward. The layers stay those of PEFT and transformers: only how they
compute while an adapter is trained is replaced.

Shape letters: N rows, D width, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch.nn.functional import silu
from transformers.activations import SiLUActivation

ADAPTER = "default"
ROWS_IN_CACHE = 256  # what is made of them stays in the processor's cache from one operation to the next


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


class _Norm(torch.autograd.Function):
    """y = w * x / sqrt(mean(x^2) + e), a few rows at a time (RMSNorm, arXiv 1910.07467); w is frozen."""

    @staticmethod
    def forward(ctx: Any, x_ND: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        out, scales_N1 = torch.empty_like(x_ND), x_ND.new_empty(len(x_ND), 1, dtype=torch.float32)
        for here in _slices(x_ND):
            long = x_ND[here].float()
            scales_N1[here] = long.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
            torch.mul((long * scales_N1[here]).to(x_ND.dtype), weight, out=out[here])
        ctx.save_for_backward(x_ND, scales_N1, weight)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_ND, scales_N1, weight = ctx.saved_tensors
        grad_x = torch.empty_like(x_ND)
        for here in _slices(x_ND):
            grad = (grads[0][here] * weight).float()
            plain = x_ND[here] * scales_N1[here]
            along = (grad * plain).mean(-1, keepdim=True)
            grad_x[here] = grad.sub_(plain.mul_(along)).mul_(scales_N1[here])
        return grad_x, None, None


class _Gated(torch.autograd.Function):
    """silu(g) * u, a few rows at a time; silu(g) is made again in the backward instead of kept."""

    @staticmethod
    def forward(ctx: Any, gate_NI: torch.Tensor, up_NI: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(gate_NI)
        for here in _slices(gate_NI):
            torch.ops.aten.silu.out(gate_NI[here], out=out[here])
            out[here].mul_(up_NI[here])
        ctx.save_for_backward(gate_NI, up_NI)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate_NI, up_NI = ctx.saved_tensors
        grad_gate, grad_up = torch.empty_like(gate_NI), torch.empty_like(up_NI)
        for here in _slices(gate_NI):
            gate, grad = gate_NI[here], grads[0][here]
            torch.mul(grad, silu(gate), out=grad_up[here])
            torch.ops.aten.silu_backward.grad_input(grad * up_NI[here], gate, grad_input=grad_gate[here])
        return grad_gate, grad_up


def _slices(rows: torch.Tensor) -> list[slice]:
    """A few rows at a time; on a graphics card, where each call costs more than memory, all at once."""
    step = max(1, len(rows)) if rows.is_cuda else ROWS_IN_CACHE
    return [slice(start, start + step) for start in range(0, len(rows), step)]


def fuse(network: torch.nn.Module) -> None:
    """Let the network's LoRA layers, frozen norms and gates compute in fewer steps.

    A layer with more than plain LoRA stays as it is, and so does every norm or gate of another formula.
    """
    for layer in network.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            layer.forward = partial(_forward, layer)
        elif _is_root_mean_square(layer):
            layer.forward = partial(_norm, layer)
        elif _is_gated(layer):
            layer.forward = partial(_gated, layer)


def has_lean_norms(layer: torch.nn.Module) -> bool:
    """Whether some norm in it is computed here."""
    return any(_is_root_mean_square(each) for each in layer.modules())


def has_lean_gate(layer: torch.nn.Module) -> bool:
    """Whether some gate in it is computed here."""
    return any(_is_gated(each) for each in layer.modules())


def _is_root_mean_square(layer: torch.nn.Module) -> bool:
    weight, epsilon = getattr(layer, "weight", None), getattr(layer, "variance_epsilon", None)
    if weight is None or epsilon is None or weight.requires_grad or weight.dim() != 1:
        return False
    kind: Any = type(layer)
    return bool(_has_the_formula(kind))


@cache
def _has_the_formula(kind: Any) -> bool:
    """Whether norms of this kind give what `_Norm` gives: libraries have several formulas under like names."""
    with torch.device("cpu"):
        try:
            layer = kind(5)
        except TypeError:  # made of something else than a width
            return False
        drawn, weight = torch.linspace(-1, 2, 10).view(2, 5), torch.linspace(0.5, 1.5, 5)
    layer.weight.data = weight
    return torch.equal(layer(drawn), _Norm.apply(drawn, weight, layer.variance_epsilon))  # type: ignore[no-untyped-call]


def _norm(layer: Any, x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor
    if layer.weight.requires_grad:
        out = type(layer).forward(layer, x)
        return out
    out = _Norm.apply(x.reshape(-1, x.shape[-1]), layer.weight, layer.variance_epsilon)  # type: ignore[no-untyped-call]
    return out.view(x.shape)


def _is_gated(layer: torch.nn.Module) -> bool:
    is_silu = isinstance(getattr(layer, "act_fn", None), torch.nn.SiLU | SiLUActivation)
    return is_silu and [name for name, _ in layer.named_children()] == ["gate_proj", "up_proj", "down_proj", "act_fn"]


def _gated(layer: Any, x: torch.Tensor) -> torch.Tensor:
    gate, up = layer.gate_proj(x), layer.up_proj(x)
    inner = _Gated.apply(gate.reshape(-1, gate.shape[-1]), up.reshape(-1, up.shape[-1]))  # type: ignore[no-untyped-call]
    out: torch.Tensor = layer.down_proj(inner.view(gate.shape))
    return out


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
