"""Language models and LoRA adapters as GGUF files, for llama.cpp and what is built on it; and such files read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sonneteer.errors import ModelError
from sonneteer.models.gguf import FILE_TYPES, Array, GgufFile, Number, Value, read_gguf, settings_of, write_gguf
from sonneteer.models.gguf_words import tokenizer_from, words_of

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
IN_BLOCKS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_model(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path, numbers: Number) -> None:
    """Write a whole model. Raises ModelError for a network or tokenizer that cannot be said in GGUF."""
    architecture = _architecture(network)
    content = GgufFile(
        {
            "general.architecture": architecture,
            "general.name": path.stem,
            "general.file_type": FILE_TYPES[numbers],
            "general.quantization_version": 2,
            **settings_of(architecture, _shape(network)),
            **words_of(tokenizer, network.config.get_text_config().vocab_size),
        }
    )
    state = network.state_dict()
    if network.get_input_embeddings().weight is network.get_output_embeddings().weight:
        state.pop("lm_head.weight", None)
    turn = _turning(network)
    content.tensors = {_name(name): turn(name, tensor.float().cpu().numpy()) for name, tensor in state.items()}
    write_gguf(path, content, numbers)


def write_lora(network: PreTrainedModel, adapter: Path, path: Path) -> None:
    """Write a PEFT adapter as one for the base model's GGUF file. Raises ModelError for more than plain LoRA."""
    settings = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    architecture, rank = _architecture(network), settings["r"]
    if settings.get("use_dora") or settings.get("trainable_token_indices"):
        raise ModelError(
            "llama.cpp takes no adapter with DoRA or with rows for new tokens. Export the merged model: --to gguf."
        )
    alpha = settings["lora_alpha"] * (rank**0.5 if settings.get("use_rslora") else 1.0)
    content = GgufFile(
        {
            "general.architecture": architecture,
            "general.type": "adapter",
            "adapter.type": "lora",
            "adapter.lora.alpha": float(alpha),
        }
    )
    turn = _turning(network)
    for key, tensor in load_file(adapter / "adapter_model.safetensors").items():
        module, _, side = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
        matrix = tensor.float().numpy()
        turned = turn(f"{module}.weight", matrix) if side == "B" else matrix  # B's rows are the layer's outputs
        content.tensors[f"{_name(module + '.weight')}.lora_{side.lower()}"] = turned
    write_gguf(path, content, "f32")


class Opened(NamedTuple):
    """What a GGUF file says, as transformers has it."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def read_model(path: Path, like: PreTrainedModel, cutting: PreTrainedTokenizerBase) -> Opened:
    """The file's weights and words as transformers would compute with them.

    `like` gives the architecture's code, and is overwritten. `cutting` cuts texts, of which GGUF only names the way.
    """
    content = read_gguf(path)
    back = _turning(like, is_back=True)
    state = {
        name: torch.from_numpy(back(name, content.tensors[_name(name)]).copy())
        for name in like.state_dict()
        if _name(name) in content.tensors
    }
    like.load_state_dict(state, strict=False)
    like.tie_weights()
    return Opened(like, tokenizer_from(content.settings, cutting))


@torch.no_grad()
def lay_in_lora(network: PreTrainedModel, path: Path) -> None:
    """Add the adapter of a GGUF file to the base network's weights."""
    content, back = read_gguf(path), _turning(network, is_back=True)
    alpha = content.settings["adapter.lora.alpha"]
    assert isinstance(alpha, float)
    for name, weight in network.state_dict().items():
        if not name.endswith(".weight") or f"{_name(name)}.lora_a" not in content.tensors:
            continue
        a_RI, b_OR = content.tensors[f"{_name(name)}.lora_a"], back(name, content.tensors[f"{_name(name)}.lora_b"])
        weight += torch.from_numpy(alpha / len(a_RI) * b_OR @ a_RI).to(weight)


def _architecture(network: PreTrainedModel) -> str:
    config = network.config
    if config.model_type not in ARCHITECTURES:
        raise ModelError(
            f"A model of the kind '{config.model_type}' cannot be written as GGUF here, but {', '.join(ARCHITECTURES)} "
            "can. Export it with --to merged."
        )
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    window = getattr(config, "sliding_window", None)
    if rope != "default" or (window and getattr(config, "use_sliding_window", True)):
        what = f"stretched positions ('{rope}')" if rope != "default" else f"a sliding window of {window} tokens"
        raise ModelError(f"This model has {what}, which is not written as GGUF here. Export it with --to merged.")
    return ARCHITECTURES[config.model_type]


def _shape(network: PreTrainedModel) -> dict[str, Value]:
    config = network.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": width,
        "rope.freq_base": float((getattr(config, "rope_parameters", None) or {}).get("rope_theta", 10000.0)),
        "vocab_size": config.vocab_size,
    }


def _name(name: str) -> str:
    """A tensor's name in GGUF."""
    module, _, end = name.rpartition(".")
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
    if found and found[2] in IN_BLOCKS:
        return f"blk.{found[1]}.{IN_BLOCKS[found[2]]}.{end}"
    if module in NAMES:
        return f"{NAMES[module]}.{end}"
    raise ModelError(f"The tensor {name} has no place in a GGUF file.")


def _turning(network: PreTrainedModel, is_back: bool = False) -> Callable[[str, Array], Array]:
    """For Llama's kind llama.cpp wants the two halves of each head's outputs interleaved."""
    config = network.config
    queries = config.num_attention_heads
    keys = getattr(config, "num_key_value_heads", None) or queries

    def turn(name: str, tensor: Array) -> Array:
        heads = queries if ".q_proj." in name else keys if ".k_proj." in name else 0
        if not heads or ARCHITECTURES[config.model_type] != "llama":
            return tensor
        half = tensor.shape[0] // heads // 2
        parts = (heads, half, 2) if is_back else (heads, 2, half)
        return np.ascontiguousarray(tensor.reshape(*parts, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape))

    return turn
