"""The model that a training starts from: opened, with more words if the recipe wants some, or new."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from sonneteer.backends.foresight import Beginning
from sonneteer.backends.reader import fingerprint_of_base
from sonneteer.models.load import (
    LanguageModel,
    context_of,
    empty_network,
    open_folder,
    save_model,
    tokenizer_of,
)
from sonneteer.models.new_rows import make_room
from sonneteer.models.places import locate
from sonneteer.models.quantise import open_quantised
from sonneteer.models.render import TemplateRenderer
from sonneteer.models.scratch import empty_model, new_model, new_tokenizer
from sonneteer.models.vocabulary import Vocabulary, vocabulary_of, widened
from sonneteer.recipe.sections import Recipe
from sonneteer.records import Example


class Starting:
    """The base model of a recipe. `folder` is the recipe's, for relative paths."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._recipe = recipe
        self._folder = folder

    @cached_property
    def fingerprint(self) -> str:
        """Of the base model's files, or of the plan for a new one; of its teacher; and of how it reads."""
        return fingerprint_of_base(self._recipe, self._folder)

    @property
    def path(self) -> Path:
        """The folder of the base model."""
        return locate(self._recipe.base.model, self._folder)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's own."""
        return tokenizer_of(self.path)

    def base(self) -> LanguageModel:
        """The base model as it is, without new words."""
        return open_folder(self._recipe.base.model, self.path)

    def renderer_of_base(self, examples: Sequence[Example]) -> TemplateRenderer:
        """How the base model reads. New words never make a text longer, so what fits here fits with them, too."""
        architecture = self._recipe.base.from_scratch
        if architecture is None:
            return self.reading(self.tokenizer, context_of(empty_network(self._recipe.base.model, self.path)))
        return self.reading(new_tokenizer(_messages(examples), architecture.vocabulary_size), architecture.context)

    def reading(self, tokenizer: PreTrainedTokenizerBase, context: int) -> TemplateRenderer:
        """Conversations in this tokenizer's words, as the recipe wants them learned."""
        window = min(context, self._recipe.data.max_tokens)
        return TemplateRenderer(tokenizer, window, self._recipe.training.learn_prompts)

    def vocabulary(self, train: Sequence[Example]) -> Vocabulary | None:
        """The new words that the recipe wants of the training split."""
        settings = self._recipe.base.vocabulary
        if not settings.is_wanted:
            return None
        return vocabulary_of(self.tokenizer, texts_of(train), settings, self._folder)

    def beginning(self, train: Sequence[Example], folder: Path | None = None) -> Beginning:
        """How the model reads that training starts from, and its shape. `folder` is the run's, if there is one."""
        architecture, vocabulary = self._recipe.base.from_scratch, self.vocabulary(train)
        if architecture is None:
            network = empty_network(self._recipe.base.model, self.path)
            if vocabulary is None:
                return Beginning(self.renderer_of_base(train), network)
            make_room(network, tuple(vocabulary.pieces))
            return Beginning(self.reading(vocabulary.tokenizer, context_of(network)), network, vocabulary)
        if folder is None or not (folder / "initial" / "config.json").exists():
            renderer = self.renderer_of_base(train)
        else:
            renderer = self.reading(tokenizer_of(folder / "initial"), architecture.context)
        return Beginning(renderer, empty_model(architecture, renderer.tokenizer))

    def model(self, beginning: Beginning, folder: Path) -> LanguageModel:
        """The model as training holds it at its start. One from scratch lies in `folder`, or is begun."""
        architecture = self._recipe.base.from_scratch
        if architecture is None:
            model = self._opened(self.path)
            return model if beginning.vocabulary is None else widened(model, beginning.vocabulary)
        if not (folder / "initial" / "config.json").exists():
            made = new_model(self._recipe.base.model, architecture, beginning.renderer.tokenizer, self._recipe.seed)
            partial = folder / "initial.partial"
            shutil.rmtree(partial, ignore_errors=True)
            save_model(made, partial)
            partial.rename(folder / "initial")  # whole or not there, whenever the process is killed
        return self._opened(folder / "initial")

    def _opened(self, path: Path) -> LanguageModel:
        name, weights = self._recipe.base.model, self._recipe.training.base_weights
        return open_folder(name, path) if weights == "whole" else open_quantised(name, path, weights)


def texts_of(examples: Sequence[Example]) -> list[str]:
    """All that is said in each example."""
    return ["\n".join(message.text for message in example.messages) for example in examples]


def _messages(examples: Sequence[Example]) -> list[str]:
    return [message.text for example in examples for message in example.messages]
