"""LoRA adapters in PEFT's format: add a new one, write it, put a trained one on, merge it in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from sonneteer.errors import ModelError, RecipeError
from sonneteer.models.fused import fuse
from sonneteer.models.layers import chosen_blocks, linear_names
from sonneteer.models.new_rows import make_room, read_by_row, table_names
from sonneteer.recipe.sections import TrainingSettings


def add_adapter(
    network: PreTrainedModel, settings: TrainingSettings, seed: int, new_ids: Sequence[int] = ()
) -> PeftModel:
    """Freeze the network and put a new LoRA adapter (arXiv 2106.09685) beside its linear layers.

    The rows of `new_ids` in the embeddings and the output layer learn, too.

    Raises RecipeError where `training.target_modules` names a layer that the model does not have.
    """
    targets = settings.target_modules
    blocks = None if settings.layers == "all" else chosen_blocks(network, settings.layers)
    if blocks is not None and targets == "all-linear":
        targets = tuple(linear_names(network))
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # PEFT says int, and computes with floats
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        layers_to_transform=blocks,
        use_rslora=settings.rank_stabilised,
        use_dora=settings.dora,
        trainable_token_indices={name: list(new_ids) for name in table_names(network)} if new_ids else None,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    try:
        with _newer_transformers():
            adapted = cast(PeftModel, get_peft_model(network, config))
    except ValueError as problem:
        names = sorted({n.rsplit(".", 1)[-1] for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)})
        raise RecipeError(
            f"training.target_modules: {targets!r} fits no layer of this model. Its linear layers: {', '.join(names)}."
        ) from problem
    fuse(adapted)
    read_by_row(adapted)
    return adapted


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write it in PEFT's format: of the embeddings only the rows of new tokens."""
    with _newer_transformers():
        adapted.save_pretrained(str(folder), save_embedding_layers=False)


def new_ids_of(folder: Path) -> list[int]:
    """The new tokens that an adapter brings rows for."""
    indices = PeftConfig.from_pretrained(str(folder)).trainable_token_indices or []
    rows = [indices] if isinstance(indices, list) else list(indices.values())
    return sorted({row for part in rows for row in part})


def put_on(network: PreTrainedModel, folder: Path) -> PeftModel:
    """Load a trained adapter onto its base network, which gets rows for the adapter's new tokens."""
    try:
        make_room(network, new_ids_of(folder))
        with _newer_transformers():
            return cast(PeftModel, PeftModel.from_pretrained(network, str(folder), local_files_only=True))
    except (OSError, ValueError, RuntimeError) as problem:
        raise ModelError(f"The adapter in {folder} does not fit the base model: {problem}") from problem


@contextmanager
def _newer_transformers() -> Iterator[None]:
    """PEFT 0.21 asks transformers 5.23 for a property under its old name, and users would read the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def merged(model: PeftModel) -> PreTrainedModel:
    """The base network with the adapter's contribution added into its weights."""
    return cast(PreTrainedModel, model.merge_and_unload())
