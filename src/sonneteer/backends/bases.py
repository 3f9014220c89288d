"""What an adapter stands beside, and the two as one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sonneteer.models.adapters import merged, put_on
from sonneteer.models.load import LanguageModel, open_folder, open_model, tokenizer_of
from sonneteer.models.places import locate
from sonneteer.models.quantise import open_unpacked
from sonneteer.records import ModelVersion, Run
from sonneteer.store import Store

Weights = Literal["whole", "8bit", "4bit"]


def base_weights_of(model: ModelVersion, store: Store) -> Weights:
    """How the base's weights were kept while the adapter was trained: whole, or in so many bits."""
    kept: Weights = store.get(Run, model.run_id).recipe["training"]["base_weights"]
    return kept


def base_of(model: ModelVersion, store: Store, folder: Path) -> LanguageModel:
    """The base that a model's adapter was trained beside. One that was quantised is that no more: what the adapter
    learned to mend are the weights that such bits stand for. Relative paths start from `folder`, the recipe's."""
    weights = base_weights_of(model, store)
    if weights == "whole":
        return open_model(model.base, folder)
    return open_unpacked(model.base, locate(model.base, folder), weights)


def as_one(model: ModelVersion, store: Store, folder: Path) -> LanguageModel:
    """The trained model as one network: an adapter is merged into its base, which answers faster."""
    result = store.root / model.folder
    if not model.is_adapter:
        return open_folder(model.name, result)
    base = base_of(model, store, folder)
    network = merged(put_on(base.network, result))
    return LanguageModel(model.name, network, tokenizer_of(result), base.fingerprint)
