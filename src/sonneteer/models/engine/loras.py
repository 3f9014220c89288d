"""LoRA adapters beside one base network, several of them in one batch: each row is changed by its own.

The adapters' factors stand side by side, so a layer's change is two products for all rows, with what belongs to other
rows' adapters masked out between them.

Shape letters: N rows, R ranks of all adapters together, I inputs, O outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sonneteer.errors import ModelError
from sonneteer.models.engine.stack import Changes

Place = Literal["qkv", "out", "gate_up", "down"]
PARTS: dict[Place, tuple[str, ...]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
FACTOR = re.compile(r"\.layers\.(\d+)\.(.+)\.lora_([AB])\.weight$")
PLAIN: dict[str, Any] = {
    "use_dora": False,
    "modules_to_save": None,
    "bias": "none",
    "rank_pattern": {},
    "alpha_pattern": {},
}


class Factors(NamedTuple):
    """What an adapter adds to a joined layer: x -> B (A x), its scale already in B."""

    a_RI: Tensor
    b_OR: Tensor


Adapter = list[dict[Place, Factors]]
"""One table for each layer of the network."""
Sizes = Mapping[str, int]
"""Outputs of the base network's linear layers, by the module's name within its layer."""


def read_adapter(folder: Path, layers: int, outputs: Sizes, like: Tensor) -> Adapter:
    """Read an adapter in PEFT's format. Raises ModelError where it holds more than LoRA on linear modules."""
    try:
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
        tensors = load_file(folder / "adapter_model.safetensors", device=str(like.device))
    except (OSError, ValueError, SafetensorError) as problem:
        raise ModelError(f"The adapter in {folder} cannot be read: {problem}") from problem
    strange = [name for name, plain in PLAIN.items() if (config.get(name) or plain) != plain]
    found = {name: FACTOR.search(name) for name in tensors}
    strange += [
        name for name, match in found.items() if not match or match[2] not in outputs or int(match[1]) >= layers
    ]
    if strange:
        raise ModelError(f"The adapter in {folder} cannot share its base with others: it has '{strange[0]}'.")
    factors = {(int(m[1]), m[2], m[3]): tensors[name] for name, m in found.items() if m}
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    adapter: Adapter = []
    for layer in range(layers):
        pairs = {
            part: (factors[layer, part, "A"], factors[layer, part, "B"])
            for part in outputs
            if (layer, part, "A") in factors
        }
        places = [(place, parts) for place, parts in PARTS.items() if any(part in pairs for part in parts)]
        adapter.append(
            {place: _joined(pairs, {part: outputs[part] for part in parts}, scale, like) for place, parts in places}
        )
    return adapter


def _joined(pairs: Mapping[str, tuple[Tensor, Tensor]], outputs: Sizes, scale: float, like: Tensor) -> Factors:
    """The factors of layers that stand joined: A one below the other, B along the diagonal."""
    downs = [pairs[part][0] for part in outputs if part in pairs]
    b_OR = torch.zeros(sum(outputs.values()), sum(len(a) for a in downs), device=like.device)
    row = column = 0
    for part, size in outputs.items():
        if part in pairs:
            b = pairs[part][1]
            b_OR[row : row + size, column : column + b.shape[1]] = b.float() * scale
            column += b.shape[1]
        row += size
    return Factors(torch.cat(downs).to(like.dtype), b_OR.to(like.dtype))


class Loras:
    """The adapters of one batch, side by side."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self._owners: dict[tuple[int, ...], Tensor] = {}
        self._layers: list[dict[str, tuple[Tensor, Tensor, tuple[int, ...]]]] = []
        for tables in zip(*adapters, strict=True):
            layer: dict[str, tuple[Tensor, Tensor, tuple[int, ...]]] = {}
            for place in PARTS:
                mine = [(number, table[place]) for number, table in enumerate(tables) if place in table]
                if mine:
                    owners = tuple(number for number, factors in mine for _ in range(len(factors.a_RI)))
                    device = mine[0][1].a_RI.device
                    self._owners.setdefault(owners, torch.tensor(owners, device=device))
                    a_RI = torch.cat([factors.a_RI for _, factors in mine])
                    layer[place] = (a_RI, torch.cat([factors.b_OR for _, factors in mine], 1), owners)
            self._layers.append(layer)

    def of_rows(self, adapters_N: Tensor) -> list[Changes]:
        """What each layer adds to rows that each have the adapter of this number, or none (-1)."""
        own = {owners: (ranks == adapters_N[:, None]) for owners, ranks in self._owners.items()}
        return [
            {place: (a_RI, b_OR, own[owners]) for place, (a_RI, b_OR, owners) in layer.items()}
            for layer in self._layers
        ]
