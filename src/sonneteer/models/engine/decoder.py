"""A lean forward pass of Llama-like networks, for answering many conversations at once.

The weights are those of the transformers network, joined where several layers read the same input. A step takes any
mix of rows: the next tokens of running answers, and pieces of prompts that are being read. `fits` says whether it
computes what the network itself computes.

Shape letters: N rows of a step, M rows whose logits are wanted, D width, H heads, K key-value heads, G heads to each
of those, E width of a head, L layers, S seats, T positions, R ranks of all adapters, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from sonneteer.models.engine.loras import PARTS, Change, Loras, Place
from sonneteer.models.engine.masks import Masks
from sonneteer.models.engine.norm import Norm, heads_norm
from sonneteer.models.engine.product import Product

LIKE_LLAMA = {"llama", "mistral", "qwen2", "qwen3", "smollm3"}
FIXED_ROTATIONS = {"default", "linear", "llama3", "yarn"}  # the others turn by the length of the text
PROBE_TOKENS = 24
MANY_GROUPS = 4  # heads to a key-value head: so many are attended to as rows of one head on a processor too
FEW_ROWS, FEW_STEP, MANY_STEP = 64, 8, 32
"""A processor's library takes milliseconds to build kernels for a new number of rows, so prompts come in few sizes."""
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.5}  # of logits, where they lie between about -20 and 20


class Reading(NamedTuple):
    """A piece of a prompt: the rows of one step for one sequence."""

    kv_LKTE: Tensor
    """Keys and values of the sequence (L, 2, K, T, E); filled from `start` on."""
    start: int
    length: int


class Step(NamedTuple):
    """What one forward pass takes."""

    ids_N: Tensor
    positions_N: Tensor
    running: int
    """The first rows are next tokens: row i of the answer in seat i."""
    readings: tuple[Reading, ...]
    """The rows after them, piece by piece."""
    wanted_M: Tensor
    adapters_N: Tensor | None = None
    """Which of the step's adapters each row has, -1 for none."""


@dataclass
class _Block:
    """One layer's weights."""

    norm: Norm
    qkv: Product
    heads_norm: Tensor | None
    out: Product
    mlp_norm: Norm
    gate_up: Product
    down: Product
    is_turned: bool
    window: int | None


class Decoder:
    """The network, its weights joined. It shares them with the transformers network, which goes on working."""

    @torch.inference_mode()
    def __init__(self, network: PreTrainedModel) -> None:
        config = network.config.get_text_config()
        self.layers = int(config.num_hidden_layers)
        self.key_heads = int(config.num_key_value_heads)
        self.groups = int(config.num_attention_heads) // self.key_heads
        self.head_width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        self.dtype, self.device = network.dtype, network.device
        trunk = network.get_decoder()
        self._embedding_VD = cast(Tensor, network.get_input_embeddings().weight)
        self._head = Product(cast(nn.Linear, network.get_output_embeddings()))
        self._epsilon = float(config.rms_norm_eps)
        self._norm = Norm(trunk.norm, self._epsilon)
        self._blocks = [_block(each, self._epsilon, self._window(config, i)) for i, each in enumerate(trunk.layers)]
        positions = torch.arange(int(config.max_position_embeddings), device=self.device)
        cos, sin = trunk.rotary_emb(self._embedding_VD[:1, :1].float(), positions[None])
        half = self.head_width // 2
        cos_TE, sin_TE = cos[0, :, :half].to(self.dtype), sin[0, :, :half].to(self.dtype)
        self._cos_TE, self._sin_TE = cos_TE[:, None, None], torch.stack((-sin_TE, sin_TE), 1)[:, None]

    @torch.inference_mode()
    def pack(self, keeps_network: bool) -> None:
        """Order the weights for fast reading. The transformers network does not work afterwards unless it is kept."""
        for block in self._blocks:
            for product in (block.qkv, block.out, block.gate_up, block.down):
                product.pack(keeps_network)
        self._head.pack(keeps_layers=True)  # often the embedding too

    @property
    def like(self) -> Tensor:
        """A tensor of the network's precision and place."""
        return self._embedding_VD[:0]

    @property
    def outputs(self) -> dict[str, int]:
        """How many outputs each linear module of a layer has: what an adapter must fit."""
        sizes = (self.head_width * self.key_heads * self.groups, *[self.head_width * self.key_heads] * 2)
        width, inner = self._blocks[0].out.out_features, self._blocks[0].down.in_features
        return dict(zip(sum(PARTS.values(), ()), (*sizes, width, inner, inner, width), strict=True))

    def empty_kv(self, tokens: int) -> Tensor:
        """Room for the keys and values of one sequence: (L, 2, K, T, E)."""
        return torch.empty(
            self.layers, 2, self.key_heads, tokens, self.head_width, dtype=self.dtype, device=self.device
        )

    @property
    def bytes_per_token(self) -> int:
        """What one token's keys and values take."""
        return int(self.layers * 2 * self.key_heads * self.head_width * self.dtype.itemsize)

    @torch.inference_mode()
    def forward(self, step: Step, seats_LSKTE: Tensor | None, loras: Loras | None = None) -> Tensor:
        """Logits (M, V) in float32 of the wanted rows. Keys and values are written where the rows belong."""
        rows = len(step.ids_N)
        step = _filled_up(step)
        hidden_ND = functional.embedding(step.ids_N, self._embedding_VD)
        turns = self._cos_TE[step.positions_N], self._sin_TE[step.positions_N]
        masks = Masks(step.positions_N, step.running, seats_LSKTE, self.dtype)
        change = loras.of_rows(step.adapters_N) if loras is not None and step.adapters_N is not None else None
        for index, block in enumerate(self._blocks):
            normed = block.norm(hidden_ND)
            qkv = _linear(normed, block.qkv, change, index, "qkv").view(len(normed), -1, 2, self.head_width // 2)
            mixed = self._attention(self._placed(qkv, block, turns), index, block, step, seats_LSKTE, masks)
            if len(step.ids_N) > rows:
                mixed = functional.pad(mixed, (0, 0, 0, len(step.ids_N) - rows))
            hidden_ND += _linear(mixed, block.out, change, index, "out")
            normed = block.mlp_norm(hidden_ND)
            gate, up = _linear(normed, block.gate_up, change, index, "gate_up").chunk(2, -1)
            hidden_ND += _linear(functional.silu(gate).mul_(up), block.down, change, index, "down")
        return self._head(self._norm(hidden_ND[step.wanted_M])).float()

    def _placed(self, qkv: Tensor, block: _Block, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Queries, keys and values (N, H+2K, E), the first two turned to their positions (arXiv 2104.09864)."""
        qk = qkv[:, : (self.groups + 1) * self.key_heads]
        if block.heads_norm is not None:
            qk.copy_(heads_norm(qk.flatten(2), block.heads_norm, self._epsilon).view_as(qk))
        if block.is_turned:
            torch.addcmul(qk * turns[0], qk.roll(1, 2), turns[1], out=qk)
        return qkv.flatten(2)

    def _attention(
        self, qkv: Tensor, index: int, block: _Block, step: Step, seats: Tensor | None, masks: Masks
    ) -> Tensor:
        """Attention of every row to what stands before it: (N, H E)."""
        heads = self.groups * self.key_heads
        query, kv = qkv[:, :heads], qkv[:, heads:]
        mixed = []
        if step.running and seats is not None:
            rows = slice(0, step.running)
            layer = seats[index]
            layer.view(-1, self.head_width).index_copy_(0, masks.places, kv[rows].flatten(0, 1))
            keys, values = layer[:, rows, :, : masks.width]
            mixed.append(self._attend(query[rows], keys, values, masks.of(rows, masks.width, block.window)))
        row = step.running
        for reading in step.readings:
            rows = slice(row, row + reading.length)
            end = reading.start + reading.length
            is_plain = reading.start == 0 and (block.window is None or end <= block.window)
            mask = None if is_plain else masks.of(rows, end, block.window, self.groups)
            mixed.append(self._read(query[rows], kv[rows], reading, index, mask))
            row += reading.length
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of the running answers, each with a row of its own: (n, H E)."""
        is_apart = query.device.type == "cpu" and self.groups < MANY_GROUPS
        query = query[:, :, None] if is_apart else query.view(len(query), self.key_heads, self.groups, -1)
        mask = mask if mask is None else mask[:, None, None]
        told = functional.scaled_dot_product_attention(query, keys, values, mask, enable_gqa=is_apart)
        return told.flatten(1)

    def _read(self, query: Tensor, kv: Tensor, reading: Reading, index: int, mask: Tensor | None) -> Tensor:
        """Attention within one sequence, whose keys and values are kept: (n, H E)."""
        end = reading.start + reading.length
        layer = reading.kv_LKTE[index]
        layer[:, :, reading.start : end] = kv.view(len(kv), 2, self.key_heads, -1).permute(1, 2, 0, 3)
        keys, values = layer[:, :, None, :end]
        query = query.view(len(query), self.key_heads, self.groups, -1).permute(1, 2, 0, 3)
        if reading.start == 0 and mask is None:
            keys, values = (each.expand(-1, self.groups, -1, -1) for each in (keys, values))
            told = functional.scaled_dot_product_attention(query, keys, values, is_causal=True)
        else:  # the heads of a group as more rows of one head
            told = functional.scaled_dot_product_attention(query.flatten(1, 2)[:, None], keys, values, mask)
        return told.reshape(query.shape).permute(2, 0, 1, 3).flatten(1)

    @staticmethod
    def _window(config: object, layer: int) -> int | None:
        kinds = getattr(config, "layer_types", None)
        is_windowed = kinds is None or kinds[layer] == "sliding_attention"
        return getattr(config, "sliding_window", None) if is_windowed else None


def _filled_up(step: Step) -> Step:
    """The step with rows that nobody wants at its end, if prompts are read on a processor."""
    rows = len(step.ids_N)
    spare = -rows % (FEW_STEP if rows <= FEW_ROWS else MANY_STEP)
    if not spare or not step.readings or step.ids_N.is_cuda:
        return step
    adapters_N = None if step.adapters_N is None else functional.pad(step.adapters_N, (0, spare), value=-1)
    ids_N, positions_N = (functional.pad(each, (0, spare)) for each in (step.ids_N, step.positions_N))
    return step._replace(ids_N=ids_N, positions_N=positions_N, adapters_N=adapters_N)


def _linear(x: Tensor, product: Product, change: Change | None, index: int, place: Place) -> Tensor:
    y = product(x)
    return y if change is None else change.add(y, x, index, place)


def _block(layer: Any, epsilon: float, window: int | None) -> _Block:
    attention, mlp = layer.self_attn, layer.mlp
    norms = [attention.q_norm, attention.k_norm] if hasattr(attention, "q_norm") else []
    heads = [attention.q_proj.out_features, attention.k_proj.out_features]
    heads_norm = None
    if norms:
        both = [norm.weight.expand(size // len(norm.weight), -1) for norm, size in zip(norms, heads, strict=True)]
        heads_norm = torch.cat(both)
    return _Block(
        norm=Norm(layer.input_layernorm, epsilon),
        qkv=Product(attention.q_proj, attention.k_proj, attention.v_proj),
        heads_norm=heads_norm,
        out=Product(attention.o_proj),
        mlp_norm=Norm(layer.post_attention_layernorm, epsilon),
        gate_up=Product(mlp.gate_proj, mlp.up_proj),
        down=Product(mlp.down_proj),
        is_turned=bool(getattr(attention, "use_rope", True)),
        window=window,
    )


def is_like_llama(network: PreTrainedModel) -> bool:
    """Whether the network's kind is one that the lean pass was written for."""
    config = network.config.get_text_config()
    rotation = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    partial = float((getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor") or 1.0)
    plain = all(type(module) is nn.Linear for name, module in network.named_modules() if name.endswith("_proj"))
    return (
        config.model_type in LIKE_LLAMA
        and config.hidden_act == "silu"
        and rotation in FIXED_ROTATIONS
        and partial == 1.0
        and plain
    )


@torch.inference_mode()
def fits(decoder: Decoder, network: PreTrainedModel) -> bool:
    """Whether the lean pass gives the network's own logits on a text of chance, read in two pieces."""
    chance = torch.Generator().manual_seed(0)
    size = min(PROBE_TOKENS, int(network.config.get_text_config().max_position_embeddings))
    ids = torch.randint(0, network.config.get_text_config().vocab_size, (size,), generator=chance).to(network.device)
    kv, cut, places = decoder.empty_kv(size), size // 2, torch.arange(size, device=network.device)
    pieces = ((0, cut), (cut, size))
    told = [
        decoder.forward(
            Step(ids[a:b], places[a:b], 0, (Reading(kv, a, b - a),), torch.arange(b - a, device=ids.device)), None
        )
        for a, b in pieces
    ]
    true = network(input_ids=ids[None], use_cache=False).logits[0].float()
    return bool((torch.cat(told) - true).abs().max() <= TOLERANCES.get(network.dtype, 0.5))
