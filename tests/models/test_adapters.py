"""Adapters are PEFT's own: they load in plain peft, and merging changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from sonneteer.errors import RecipeError
from sonneteer.models.adapters import add_adapter, merged, put_on
from sonneteer.recipe.sections import TrainingSettings

from .networks import network

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def trained_adapter(folder: Path) -> torch.Tensor:
    """Write an adapter that does something; returns the logits with it."""
    model = add_adapter(network("qwen2"), TrainingSettings(rank=4), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
        model.save_pretrained(folder)
        return model(input_ids=IDS).logits


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # plain peft's own
@torch.no_grad()
def test_a_written_adapter_gives_the_same_logits_here_and_in_plain_peft(tmp_path: Path) -> None:
    expected = trained_adapter(tmp_path)
    assert not torch.allclose(expected, network("qwen2")(input_ids=IDS).logits)
    torch.testing.assert_close(put_on(network("qwen2"), tmp_path)(input_ids=IDS).logits, expected)
    torch.testing.assert_close(PeftModel.from_pretrained(network("qwen2"), tmp_path)(input_ids=IDS).logits, expected)


@torch.no_grad()
def test_the_merged_model_gives_the_same_logits(tmp_path: Path) -> None:
    expected = trained_adapter(tmp_path)
    plain = merged(put_on(network("qwen2"), tmp_path))
    torch.testing.assert_close(plain(input_ids=IDS).logits, expected, atol=1e-5, rtol=1e-4)


def test_only_the_adapter_is_trained_and_the_seed_decides_its_start() -> None:
    first, again, other = (add_adapter(network("llama"), TrainingSettings(), seed) for seed in (0, 0, 1))
    trained = {name: p for name, p in first.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    for name, parameter in again.named_parameters():
        assert not parameter.requires_grad or torch.equal(parameter, trained[name])
    assert any(not torch.equal(p, trained[n]) for n, p in other.named_parameters() if p.requires_grad)


def test_a_layer_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(RecipeError, match=r"target_modules.*q_proj"):
        add_adapter(network("llama"), TrainingSettings(target_modules=("attention",)), seed=0)
