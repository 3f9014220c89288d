"""LoRA in one hand-written step is PEFT's LoRA."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer

from sonneteer.models.adapters import add_adapter
from sonneteer.models.forest import plant
from sonneteer.models.fused import fuse, shorten
from sonneteer.models.logprobs import loss_sum
from sonneteer.recipe.sections import TrainingSettings

from .networks import FAMILIES, network
from .test_logprobs import CLOSE, batch, gradients, plain_loss, worst

SETTINGS = TrainingSettings(rank=4, alpha=8)


def adapted(family: str, settings: TrainingSettings = SETTINGS) -> PeftModel:
    """A network with an adapter that already does something."""
    model = add_adapter(network(family), settings, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1, generator=generator)
    return model


def peft_s_own(model: PeftModel) -> PeftModel:
    """The same weights, computed as PEFT does it."""
    plain = copy.deepcopy(model)
    for layer in plain.modules():
        layer.__dict__.pop("forward", None)
    return plain


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_adapter_gradient_are_those_of_peft_and_the_plain_forward(family: str) -> None:
    model, sequences = adapted(family), batch(5)
    plain_model = peft_s_own(model)
    loss = loss_sum(model.base_model.model, plant(sequences))
    loss.backward()
    plain = sum((plain_loss(plain_model, sequence) for sequence in sequences), torch.zeros(()))
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=CLOSE)
    assert worst(gradients(model), gradients(plain_model)) < CLOSE


def test_dropout_draws_what_peft_draws() -> None:
    model = adapted("qwen2", SETTINGS.model_copy(update={"dropout": 0.3})).train()
    told = []
    for each in (model, peft_s_own(model)):
        torch.manual_seed(3)
        loss = loss_sum(each.base_model.model, plant(batch(6)))
        loss.backward()
        told.append((loss.item(), gradients(each)))
    assert told[0][0] == pytest.approx(told[1][0], rel=CLOSE)
    assert worst(told[0][1], told[1][1]) < CLOSE


def test_without_its_adapter_the_network_is_the_base() -> None:
    model, forest = adapted("llama"), plant(batch(7))
    with model.disable_adapter():
        told = loss_sum(model.base_model.model, forest)
    assert told.item() == pytest.approx(loss_sum(network("llama"), forest).item(), rel=CLOSE)


def test_the_frozen_weights_become_short_and_the_trained_ones_do_not() -> None:
    model = adapted("llama")
    before = loss_sum(model.base_model.model, plant(batch(8)))
    shorten(model)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        after = loss_sum(model.base_model.model, plant(batch(8)))
    after.backward()
    assert after.item() == pytest.approx(before.item(), rel=2e-2)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_other_kinds_of_adapters_stay_as_peft_makes_them() -> None:
    model = get_peft_model(network("llama"), LoraConfig(r=4, target_modules=["q_proj"], use_dora=True))
    fuse(model)
    assert not any("forward" in layer.__dict__ for layer in model.modules() if isinstance(layer, BaseTunerLayer))


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_and_gates_of_another_formula_stay_as_they_are(family: str) -> None:
    model, plain = adapted(family), peft_s_own(adapted(family))
    lean = [type(layer).__name__ for layer in model.modules() if "forward" in layer.__dict__]
    assert any("MLP" in name for name in lean) == any("RMSNorm" in name for name in lean) == ("gemma" not in family)
    ids = torch.arange(6)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, plain(input_ids=ids).logits)
