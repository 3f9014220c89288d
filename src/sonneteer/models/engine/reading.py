"""What a model reads: a request as token ids."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from transformers import AutoConfig, PreTrainedTokenizerBase

from sonneteer.chat import Options, Source
from sonneteer.errors import RequestError
from sonneteer.models.load import tokenizer_of
from sonneteer.models.render import TemplateRenderer
from sonneteer.records import Prompt


class PromptReader:
    """Turns requests into tokens, for any number of threads. `size` is how many tokens the network knows."""

    def __init__(self, renderer: TemplateRenderer, size: int, context: int) -> None:
        self.renderer = renderer
        self.context = context
        """Longest prompt and answer together, in tokens."""
        self._size = size
        self._one_at_a_time = threading.Lock()  # tokenizers are not made for several threads

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's."""
        return self.renderer.tokenizer

    def prompt_ids(self, source: Source, prefill: str = "") -> list[int]:
        """What the model reads. Raises RequestError for a token that it does not have."""
        if isinstance(source, tuple):
            strange = next((token for token in source if not 0 <= token < self._size), None)
            if strange is not None:
                raise RequestError(f"prompt: {strange} is no token of this model, which has {self._size}")
            return list(source)
        with self._one_at_a_time:
            if isinstance(source, Prompt):
                return self.renderer.prompt_ids(source, prefill)
            return list(self.tokenizer.encode(source))

    def asked_ids(self, source: Source, options: Options) -> list[int]:
        """The same for an answer that is to be written. Raises RequestError where that is impossible."""
        ids = self.prompt_ids(source, options.prefill)
        if not ids:
            raise RequestError("prompt: there is nothing to read")
        if len(ids) >= self.context:
            raise RequestError(f"prompt is too long: {len(ids)} tokens > {self.context - 1} maximum")
        return ids


class Shape(NamedTuple):
    """What a network's configuration says of its room."""

    context: int
    tokens: int
    """How many it knows."""
    numbers_per_token: int
    """Keys and values of one token."""
    sees_images: bool = False


def shape_of(path: Path) -> Shape:
    """From a folder of transformers files; no weights are opened."""
    whole = AutoConfig.from_pretrained(path, local_files_only=True)
    config = whole.get_text_config()
    heads = int(config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    numbers = int(config.num_hidden_layers) * 2 * key_heads * width
    sees_images = getattr(whole, "vision_config", None) is not None
    return Shape(int(config.max_position_embeddings), int(config.vocab_size), numbers, sees_images)


def reader_of(shape: Shape, tokenizer_path: Path) -> PromptReader:
    """Reads as the model does whose tokenizer lies there."""
    tokenizer = tokenizer_of(tokenizer_path)
    renderer = TemplateRenderer(tokenizer, shape.context)
    return PromptReader(renderer, max(shape.tokens, len(tokenizer)), shape.context)
