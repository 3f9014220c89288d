"""A quantised base trains a plain adapter, and needs less memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

from sonneteer.errors import MachineError
from sonneteer.models.adapters import add_adapter, put_on
from sonneteer.models.forest import plant
from sonneteer.models.load import open_folder
from sonneteer.models.logprobs import loss_sum
from sonneteer.models.quantise import Bits, open_quantised
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered

from .networks import SHAPE, tokenizer

SEQUENCES = [Rendered([5, 6, *range(10, 30)], [0.0] * 2 + [1.0] * 20), Rendered([5, 6, 9, 8], [0.0, 0.0, 1.0, 1.0])]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Wide enough for blocks of 64 weights that share a scale."""
    torch.manual_seed(0)
    wide = {"hidden_size": 128, "intermediate_size": 256}
    LlamaForCausalLM(LlamaConfig(**(SHAPE | wide))).save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize(("bits", "share"), [("4bit", 0.2), ("8bit", 0.3)])
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # plain peft's own
def test_a_quantised_base_trains_an_adapter_that_plain_peft_loads(
    base: Path, tmp_path: Path, bits: Bits, share: float
) -> None:
    whole, short = open_folder("base", base).network, open_quantised("base", base, bits).network
    weights, fewer = (model.model.layers[0].mlp.up_proj.weight for model in (whole, short))
    assert fewer.numel() * fewer.element_size() < share * weights.numel() * weights.element_size()
    adapted = add_adapter(short, TrainingSettings(rank=4), seed=0)
    loss = loss_sum(short, plant(SEQUENCES))
    loss.backward()
    assert loss.item() == pytest.approx(loss_sum(whole, plant(SEQUENCES)).item(), rel=0.01)
    trained = {name: p for name, p in short.named_parameters() if p.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.normal_(std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = PeftModel.from_pretrained(open_folder("base", base).network, tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(
            plain(input_ids=ids).logits, put_on(whole, tmp_path / "adapter")(input_ids=ids).logits
        )


def test_without_the_library_the_refusal_says_what_to_install(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MachineError, match=r"training\.base_weights: '4bit' needs .*sonneteer\[quantised\]"):
        open_quantised("base", base, "4bit")
