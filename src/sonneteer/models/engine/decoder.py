"""A lean forward pass of Llama-like networks, for answering many conversations at once.

The weights are those of the transformers network, joined where several layers read the same input. A step takes any
mix of rows: the next tokens of running answers, and pieces of prompts that are being read. `fits` says whether it
computes what the network itself computes.

Shape letters: N rows of a step, M rows whose logits are wanted, D width, H heads, K key-value heads, G heads to each
of those, E width of a head, L layers, S seats, T positions, R ranks of all adapters, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from sonneteer.models.engine.loras import PARTS, Loras
from sonneteer.models.engine.masks import Sight, places
from sonneteer.models.engine.norm import Norm
from sonneteer.models.engine.product import Product
from sonneteer.models.engine.stack import Block, Reading, Running, Stack, compiled

LIKE_LLAMA = {"llama", "mistral", "qwen2", "qwen3", "smollm3"}
FIXED_ROTATIONS = {"default", "linear", "llama3", "yarn"}  # the others turn by the length of the text
PROBE_TOKENS = 24
FEW_ROWS, FEW_STEP, MANY_STEP = 64, 8, 32
"""A processor's library takes milliseconds to build kernels for a new number of rows, so prompts come in few sizes."""
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.5}  # of logits, where they lie between about -20 and 20


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
        self._sight = Sight(getattr(config, "sliding_window", None), self.dtype, self.device)
        kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * self.layers
        trunk, epsilon = network.get_decoder(), float(config.rms_norm_eps)
        self._embedding_VD = cast(Tensor, network.get_input_embeddings().weight)
        self._blocks = [
            Block(layer, index, self.key_heads, epsilon, kinds[index] == "sliding_attention")
            for index, layer in enumerate(trunk.layers)
        ]
        self._head = Product(cast(nn.Linear, network.get_output_embeddings()))
        positions = torch.arange(int(config.max_position_embeddings), device=self.device)
        cos, sin = trunk.rotary_emb(self._embedding_VD[:1, :1].float(), positions[None])
        half = self.head_width // 2
        cos_TE, sin_TE = cos[0, :, :half].to(self.dtype), sin[0, :, :half].to(self.dtype)
        turns = cos_TE[:, None, None], torch.stack((-sin_TE, sin_TE), 1)[:, None]
        self.stack = Stack(self._embedding_VD, turns, self._blocks, Norm(trunk.norm, epsilon), self._head)
        self._pass: Callable[..., Tensor] = self.stack

    @torch.inference_mode()
    def pack(self, keeps_network: bool) -> None:
        """Order the weights for fast reading. The transformers network does not work afterwards unless it is kept."""
        for block in self._blocks:
            for product in (block.qkv, block.out, block.gate_up, block.down):
                product.pack(keeps_network)
        self._head.pack(keeps_layers=True)  # often the embedding too
        if self.device.type == "cpu":
            told, self._pass = self.probe(), compiled(self.stack)
            if not is_alike(self.probe(), told, self.dtype):
                self._pass = self.stack

    def probe_ids(self) -> Tensor:
        """A text of chance."""
        chance = torch.Generator().manual_seed(0)
        size = min(PROBE_TOKENS, len(self.stack.cos_TE))
        return torch.randint(0, len(self._embedding_VD), (size,), generator=chance).to(self.device)

    def probe(self) -> Tensor:
        """The logits (T, V) of that text, read in two pieces, its last token as the next one of an answer."""
        ids = self.probe_ids()
        kv, places = self.empty_kv(len(ids)), torch.arange(len(ids), device=self.device)
        cuts = (0, len(ids) // 2, len(ids) - 1)
        told = [
            self.forward(Step(ids[a:b], places[a:b], 0, (Reading(kv, a, b - a),), places[: b - a]), None)
            for a, b in itertools.pairwise(cuts)
        ]
        last = Step(ids[-1:], places[-1:], 1, (), places[:1])
        return torch.cat((*told, self.forward(last, kv[:, :, None])))

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
        step = _filled_up(step)
        running, masks = None, []
        if step.running and seats_LSKTE is not None:
            positions_n = step.positions_N[: step.running]
            width = max(positions_n.tolist()) + 1
            running = Running(step.running, width, seats_LSKTE, places(positions_n, seats_LSKTE))
            masks.append(self._sight.of_running(positions_n, width))
        row = step.running
        for _, start, length in step.readings:
            masks.append(self._sight.of_reading(step.positions_N[row : row + length], start + length, self.groups))
            row += length
        changes = loras.of_rows(step.adapters_N) if loras is not None and step.adapters_N is not None else []
        return self._pass(step.ids_N, step.positions_N, running, list(step.readings), masks, changes, step.wanted_M)


def _filled_up(step: Step) -> Step:
    """The step with rows that nobody wants at its end, if prompts are read on a processor."""
    rows = len(step.ids_N)
    spare = -rows % (FEW_STEP if rows <= FEW_ROWS else MANY_STEP)
    if not spare or not step.readings or step.ids_N.is_cuda:
        return step
    adapters_N = None if step.adapters_N is None else functional.pad(step.adapters_N, (0, spare), value=-1)
    ids_N, positions_N = (functional.pad(each, (0, spare)) for each in (step.ids_N, step.positions_N))
    return step._replace(ids_N=ids_N, positions_N=positions_N, adapters_N=adapters_N)


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


def fits(decoder: Decoder, network: PreTrainedModel) -> bool:
    """Whether the lean pass gives the network's own logits on a text of chance."""
    with torch.inference_mode():
        true = network(input_ids=decoder.probe_ids()[None], use_cache=False).logits[0].float()
    return is_alike(decoder.probe(), true, network.dtype)


def is_alike(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Whether logits differ by no more than the rounding of their precision explains."""
    return bool((one - other).abs().max() <= TOLERANCES.get(dtype, 0.5))
