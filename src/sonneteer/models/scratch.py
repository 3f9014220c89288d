"""A new model without any pre-training: byte-level BPE tokenizer, chat template, random Qwen3-shaped network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sonneteer.models.load import LanguageModel, device
from sonneteer.recipe.sections import Architecture
from sonneteer.records import fingerprint_of

END, PAD, OPEN, CLOSE = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"

# ChatML. The generation markers tell other trainers, too, which tokens are the assistant's own.
CHAT_TEMPLATE = """\
{%- if tools %}
{{- '<|im_start|>system\\nTools: ' + (tools | tojson) + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- generation %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def new_model(name: str, architecture: Architecture, tokenizer: PreTrainedTokenizerBase, seed: int) -> LanguageModel:
    """Initialise a network for a new tokenizer. The same inputs give the same model."""
    tokenizer.model_max_length = architecture.context
    torch.manual_seed(seed)
    network = Qwen3ForCausalLM(_config(architecture, tokenizer)).to(device())
    fingerprint = fingerprint_of([architecture.model_dump(mode="json"), tokenizer.get_vocab(), seed])
    return LanguageModel(name, network, tokenizer, fingerprint)


def empty_model(architecture: Architecture, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The network that `new_model` would make, without weights."""
    with torch.device("meta"):
        return Qwen3ForCausalLM(_config(architecture, tokenizer))


def new_tokenizer(texts: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE (as in GPT-2, but digits one by one) with the marks of the chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END, PAD, OPEN, CLOSE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=CLOSE, pad_token=PAD, chat_template=CHAT_TEMPLATE
    )


def _config(architecture: Architecture, tokenizer: PreTrainedTokenizerBase) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=architecture.vocabulary_size,
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.key_value_heads,
        head_dim=architecture.hidden_size // architecture.heads,
        intermediate_size=architecture.feed_forward_size,
        max_position_embeddings=architecture.context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
