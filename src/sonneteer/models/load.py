"""Open a base model from its files, and save one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from sonneteer.errors import ModelError
from sonneteer.models.places import fingerprint_of_folder, locate
from sonneteer.models.render import TemplateRenderer

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class LanguageModel:
    """A network with the tokenizer and template that belong to it."""

    name: str
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    """Of the files that it was opened from."""
    new_ids: tuple[int, ...] = ()
    """Tokens that its vocabulary was given for the training that is to come."""

    @cached_property
    def renderer(self) -> TemplateRenderer:
        """Conversations as this model reads them."""
        return TemplateRenderer(self.tokenizer, self.context)

    @property
    def context(self) -> int:
        """Longest sequence in tokens that the network was made for."""
        return context_of(self.network)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        place: torch.device = self.network.device
        return place


def device() -> torch.device:
    """The fastest place that this machine offers."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def open_model(name: str, folder: Path) -> LanguageModel:
    """Open the base model that a recipe names. Relative folders start from `folder`, the recipe's own.

    Raises ModelError where there is no such model, or where its files are no causal language model.
    """
    return open_folder(name, locate(name, folder))


def open_folder(name: str, path: Path) -> LanguageModel:
    """Open a folder of transformers files."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        network = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as problem:
        raise ModelError(f"base.model: '{name}' in {path} cannot be opened as a language model: {problem}") from problem
    return LanguageModel(name, network.to(device()), tokenizer, fingerprint_of_folder(path))


def tokenizer_of(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer and template that lie with a model's files."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as problem:
        raise ModelError(f"The tokenizer in {path} cannot be opened: {problem}") from problem
    return tokenizer


def empty_network(name: str, path: Path) -> PreTrainedModel:
    """The network of a folder without its weights: every tensor has a shape and takes no memory. Raises ModelError."""
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        with torch.device("meta"):
            network: PreTrainedModel = AutoModelForCausalLM.from_config(config)
            return network
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise ModelError(f"base.model: '{name}' in {path} is no language model: {problem}") from problem


def context_of(network: PreTrainedModel) -> int:
    """Longest sequence in tokens that the network was made for."""
    return int(getattr(network.config.get_text_config(), "max_position_embeddings", None) or 2048)


def save_model(model: LanguageModel, target: Path) -> None:
    """Write network, tokenizer and template as plain transformers files."""
    with disk_errors():
        model.network.save_pretrained(target)
    model.tokenizer.save_pretrained(target)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise what the disk refused as an OSError: safetensors puts it into the text of an error of its own."""
    try:
        yield
    except SafetensorError as problem:
        number = re.search(r"os error (\d+)", str(problem))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from problem
