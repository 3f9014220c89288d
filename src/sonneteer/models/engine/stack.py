"""The layers of a Llama-like network, for rows of many conversations at once.

TorchScript compiles these modules, so that a step is one call: between its few hundred operations there is no Python,
and the threads that serve need not wait for the interpreter. What stands here therefore keeps to what TorchScript
knows; annotations are not postponed, since it reads those of tuples. `compiled` gives the modules back as they are
where it cannot compile them.

Shape letters: N rows of a step, n rows of one group of them, M rows whose logits are wanted, D width, H heads, K
key-value heads, G heads to each of those, E width of a head, L layers, S seats, T positions, R ranks of all adapters,
V vocabulary.
"""

import logging
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sonneteer.models.engine.norm import HeadsNorm, Norm
from sonneteer.models.engine.product import Product

log = logging.getLogger(__name__)

Changes = dict[str, tuple[Tensor, Tensor, Tensor]]
"""What adapters add to a layer's products: A (R, I), B (O, R), and which ranks are each row's own (N, R)."""


class Masks(NamedTuple):
    """What rows see of T positions: 0 where a row may look, minus infinity elsewhere. None hides nothing."""

    whole: Tensor | None
    windowed: Tensor | None
    """In layers that look at the last positions only."""


class Running(NamedTuple):
    """The first rows of a step: the next tokens of running answers, row i of the answer in seat i."""

    answers: int
    width: int
    """Positions that they look at."""
    seats_LSKTE: Tensor
    """Their keys and values: (L, 2, S, K, T, E)."""
    places: Tensor
    """Where they write, counted in single heads of single positions of a layer's room: (n 2 K)."""


class Reading(NamedTuple):
    """A piece of a prompt: rows of one step for one sequence."""

    kv_LKTE: Tensor
    """Keys and values of the sequence (L, 2, K, T, E); filled from `start` on."""
    start: int
    length: int


class Block(nn.Module):
    """One layer."""

    def __init__(self, layer: Any, index: int, key_heads: int, epsilon: float, is_windowed: bool) -> None:
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        self.index = index
        self.key_heads = key_heads
        self.width = int(attention.head_dim)
        self.heads = attention.q_proj.out_features // self.width
        self.is_windowed = is_windowed
        self.is_turned = bool(getattr(attention, "use_rope", True))
        self.norm = Norm(layer.input_layernorm, epsilon)
        self.qkv = Product(attention.q_proj, attention.k_proj, attention.v_proj)
        self.heads_norm = None
        if hasattr(attention, "q_norm"):
            norms = ((attention.q_norm, self.heads), (attention.k_norm, key_heads))
            self.heads_norm = HeadsNorm(torch.cat([norm.weight.expand(count, -1) for norm, count in norms]), epsilon)
        self.out = Product(attention.o_proj)
        self.mlp_norm = Norm(layer.post_attention_layernorm, epsilon)
        self.gate_up = Product(mlp.gate_proj, mlp.up_proj)
        self.down = Product(mlp.down_proj)

    def forward(
        self,
        hidden_ND: Tensor,
        turns: tuple[Tensor, Tensor],
        running: Running | None,
        readings: list[Reading],
        masks: list[Masks],
        changes: Changes,
    ) -> Tensor:
        """The rows after this layer."""
        normed = self.norm(hidden_ND)
        qkv = changed(self.qkv(normed), normed, changes, "qkv")
        mixed = self.mixed(self.placed(qkv, turns), running, readings, masks)
        if len(mixed) < len(hidden_ND):  # rows that nobody wants see nothing
            mixed = functional.pad(mixed, [0, 0, 0, len(hidden_ND) - len(mixed)])
        hidden_ND += changed(self.out(mixed), mixed, changes, "out")
        normed = self.mlp_norm(hidden_ND)
        gate, up = changed(self.gate_up(normed), normed, changes, "gate_up").chunk(2, -1)
        inner = functional.silu(gate).mul_(up)
        hidden_ND += changed(self.down(inner), inner, changes, "down")
        return hidden_ND

    def placed(self, qkv: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Queries, keys and values (N, H+2K, E), the first two turned to their positions (arXiv 2104.09864)."""
        halves = qkv.view(len(qkv), -1, 2, self.width // 2)
        qk = halves[:, : self.heads + self.key_heads]
        if self.heads_norm is not None:
            qk.copy_(self.heads_norm(qk.flatten(2)).view_as(qk))
        if self.is_turned:
            torch.addcmul(qk * turns[0], qk.roll([1], [2]), turns[1], out=qk)
        return halves.flatten(2)

    def mixed(self, qkv: Tensor, running: Running | None, readings: list[Reading], masks: list[Masks]) -> Tensor:
        """Attention of every row to what stands before it: (n, H E)."""
        query, kv = qkv[:, : self.heads], qkv[:, self.heads :]
        mixed: list[Tensor] = []
        row = 0
        if running is not None:
            row = running.answers
            mixed.append(self.next(query[:row], kv[:row], running, masks[0]))
        for number, reading in enumerate(readings):
            end = row + reading.length
            mask = masks[number + len(masks) - len(readings)]
            mixed.append(self.read(query[row:end], kv[row:end], reading, mask))
            row = end
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

    def next(self, query: Tensor, kv: Tensor, running: Running, masks: Masks) -> Tensor:
        """Attention of the running answers, the heads of a group as rows of one head: (n, H E)."""
        layer = running.seats_LSKTE[self.index]
        layer.view(-1, self.width).index_copy_(0, running.places, kv.flatten(0, 1))
        keys_values = layer[:, : running.answers, :, : running.width]
        mask = masks.windowed if self.is_windowed else masks.whole
        if mask is not None:
            mask = mask[:, None, None]
        query = query.view(running.answers, self.key_heads, -1, self.width)
        return functional.scaled_dot_product_attention(query, keys_values[0], keys_values[1], mask).flatten(1)

    def read(self, query: Tensor, kv: Tensor, reading: Reading, masks: Masks) -> Tensor:
        """Attention within one sequence, whose keys and values are kept: (n, H E)."""
        end = reading.start + reading.length
        layer = reading.kv_LKTE[self.index]
        layer[:, :, reading.start : end] = kv.view(len(kv), 2, self.key_heads, self.width).permute(1, 2, 0, 3)
        keys, values = layer[0, :, None, :end], layer[1, :, None, :end]
        query = query.view(len(query), self.key_heads, -1, self.width).permute(1, 2, 0, 3)
        mask = masks.windowed if self.is_windowed else masks.whole
        if reading.start == 0 and mask is None:
            groups = query.shape[1]
            keys, values = keys.expand(-1, groups, -1, -1), values.expand(-1, groups, -1, -1)
            told = functional.scaled_dot_product_attention(query, keys, values, is_causal=True)
        else:  # the heads of a group as more rows of one head
            told = functional.scaled_dot_product_attention(query.flatten(1, 2)[:, None], keys, values, mask)
        return told.reshape(query.shape).permute(2, 0, 1, 3).flatten(1)


class Stack(nn.Module):
    """All layers, from tokens to logits."""

    def __init__(
        self, embedding_VD: Tensor, turns: tuple[Tensor, Tensor], blocks: list[Block], norm: Norm, head: Product
    ) -> None:
        super().__init__()
        self.embedding_VD = embedding_VD
        self.cos_TE, self.sin_TE = turns
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.head = head

    def forward(
        self,
        ids_N: Tensor,
        positions_N: Tensor,
        running: Running | None,
        readings: list[Reading],
        masks: list[Masks],
        changes: list[Changes],
        wanted_M: Tensor,
    ) -> Tensor:
        """Logits (M, V) in float32 of the wanted rows. Each group of rows has its masks, the running answers first."""
        hidden_ND = functional.embedding(ids_N, self.embedding_VD)
        turns = (self.cos_TE[positions_N], self.sin_TE[positions_N])
        for index, block in enumerate(self.blocks):
            change: Changes = changes[index] if changes else {}
            hidden_ND = block(hidden_ND, turns, running, readings, masks, change)
        logits_MV: Tensor = self.head(self.norm(hidden_ND[wanted_M]))
        return logits_MV.float()


def changed(y_NO: Tensor, x_NI: Tensor, changes: Changes, place: str) -> Tensor:
    """A product with what each row's own adapter adds to it."""
    if place in changes:
        a_RI, b_OR, own_NR = changes[place]
        return y_NO + functional.linear(functional.linear(x_NI, a_RI) * own_NR, b_OR)
    return y_NO


def compiled(module: nn.Module) -> nn.Module:
    """The module as TorchScript, or as it is where that cannot compile it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor needs a compiler of C++
            return torch.jit.script(module)
    except (RuntimeError, TypeError, ValueError, OSError) as problem:
        log.warning("Answers come slower, since TorchScript cannot compile the network's pass: %s", problem)
        return module
