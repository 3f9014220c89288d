"""Tiny random models of the real architectures, and a tokenizer to go with them."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from sonneteer.models.scratch import new_tokenizer

SHAPE = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 3,
    "pad_token_id": 1,
}
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "smollm": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True, "rope_theta": 100000.0}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 16}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": 16}),
    "gemma": (GemmaForCausalLM, GemmaConfig, {"head_dim": 16}),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, {"head_dim": 16, "sliding_window": 16}),
    "smollm3": (SmolLM3ForCausalLM, SmolLM3Config, {}),
}
TEXTS = [
    "Where is my order? It is on its way to you.",
    "Hello, how can I help you today?",
    "The cat sat on the mat.",
] * 5


def network(family: str, seed: int = 0) -> PreTrainedModel:
    """A random network of a family, in float32."""
    torch.manual_seed(seed)
    kind, config, extra = FAMILIES[family]
    return kind(config(**(SHAPE | extra))).float().eval()


def tokenizer() -> PreTrainedTokenizerFast:
    """The small tokenizer of a model from scratch: ChatML, four hundred tokens."""
    return new_tokenizer(TEXTS, SHAPE["vocab_size"])


def saved(family: str, folder: Path) -> Path:
    """Such a model on the disk, as people have theirs."""
    network(family).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
