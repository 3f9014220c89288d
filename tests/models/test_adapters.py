"""Adapters are PEFT's own: they load in plain peft, and merging changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sonneteer.errors import RecipeError
from sonneteer.models.adapters import add_adapter, merged, put_on
from sonneteer.recipe.sections import TrainingSettings

from .networks import network

IDS = torch.tensor([[5, 6, 7, 8, 9]])


VARIANTS = {
    "lora": {},
    "rslora": {"rank_stabilised": True},
    "dora": {"dora": True},
    "last block": {"layers": "last 1"},
}


def trained_adapter(folder: Path, variant: str) -> torch.Tensor:
    """Write an adapter that does something; returns the logits with it."""
    model = add_adapter(network("qwen2"), TrainingSettings(rank=4, **VARIANTS[variant]), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
        model.save_pretrained(folder)
        return model(input_ids=IDS).logits


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # plain peft's own
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_written_adapter_gives_the_same_logits_here_and_in_plain_peft(tmp_path: Path, variant: str) -> None:
    expected = trained_adapter(tmp_path, variant)
    assert not torch.allclose(expected, network("qwen2")(input_ids=IDS).logits)
    torch.testing.assert_close(put_on(network("qwen2"), tmp_path)(input_ids=IDS).logits, expected)
    torch.testing.assert_close(PeftModel.from_pretrained(network("qwen2"), tmp_path)(input_ids=IDS).logits, expected)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_the_merged_model_gives_the_same_logits_in_plain_transformers(tmp_path: Path, variant: str) -> None:
    expected = trained_adapter(tmp_path / "adapter", variant)
    merged(put_on(network("qwen2"), tmp_path / "adapter")).save_pretrained(tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
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


def test_the_variants_are_what_peft_calls_them() -> None:
    config = add_adapter(network("llama"), TrainingSettings(rank_stabilised=True, dora=True), 0).peft_config["default"]
    assert (config.use_rslora, config.use_dora) == (True, True)


def test_only_the_chosen_blocks_get_an_adapter() -> None:
    model = add_adapter(network("llama"), TrainingSettings(layers="last 1"), seed=0)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".layers.1." in name for name in trained)
