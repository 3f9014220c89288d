"""The rows of new tokens learn exactly as plain PEFT's do, and load where PEFT and transformers load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from sonneteer.models.adapters import add_adapter, merged, new_ids_of, put_on, save_adapter
from sonneteer.models.forest import plant
from sonneteer.models.layers import without_adapter
from sonneteer.models.logprobs import loss_sum
from sonneteer.models.new_rows import start_from_pieces
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered

from .networks import FAMILIES, network

PIECES = {400: (5, 6), 401: (5, 6, 7), 402: (9, 10)}
IDS = [5, 400, 7, 401, 402, 9, 400]
LESSON = Rendered(IDS, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
QUIET = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # plain peft's own


def start(family: str) -> PreTrainedModel:
    """A base network with three new tokens."""
    net = network(family)
    start_from_pieces(net, PIECES)
    return net


def adapted(family: str) -> PeftModel:
    """The same with an adapter that does something, and new rows that have been moved."""
    model = add_adapter(start(family), TrainingSettings(rank=4), seed=0, new_ids=tuple(PIECES))
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "trainable_tokens" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    return model


@QUIET
@pytest.mark.parametrize("family", FAMILIES)
def test_forest_loss_and_gradients_are_those_of_plain_peft(family: str) -> None:
    ours = adapted(family)
    loss = loss_sum(ours.get_base_model(), plant([LESSON, Rendered(IDS[:4], [0.0, 1.0, 1.0, 1.0])]))
    loss.backward()
    plain = PeftModel(start(family), ours.peft_config["default"])
    plain.load_state_dict(ours.state_dict())
    expected = torch.zeros(())
    for ids, first in ((IDS, 2), (IDS[:4], 1)):
        log_probs = plain(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = expected - sum(log_probs[i - 1, ids[i]] for i in range(first, len(ids)))
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    wanted = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert any("trainable_tokens" in name for name in found)
    assert {name for name in found if "trainable" in name or "lora" in name} == set(wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


@QUIET
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_files_give_the_same_logits_in_plain_peft_and_merged_in_plain_transformers(
    family: str, tmp_path: Path
) -> None:
    ours, ids = adapted(family), torch.tensor([IDS])
    expected = ours(input_ids=ids).logits
    save_adapter(ours, tmp_path / "adapter")
    assert new_ids_of(tmp_path / "adapter") == list(PIECES)
    torch.testing.assert_close(put_on(network(family), tmp_path / "adapter")(input_ids=ids).logits, expected)
    base = network(family)
    base.resize_token_embeddings(403, mean_resizing=False)  # what PEFT's users do for new tokens
    plain = PeftModel.from_pretrained(base, tmp_path / "adapter")
    torch.testing.assert_close(plain(input_ids=ids).logits, expected)
    merged(put_on(network(family), tmp_path / "adapter")).save_pretrained(tmp_path / "merged")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(whole(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@torch.no_grad()
def test_without_its_adapter_the_network_is_as_it_started(family: str) -> None:
    forest = plant([LESSON])
    before = loss_sum(start(family), forest)
    model = adapted(family).get_base_model()
    assert not torch.allclose(loss_sum(model, forest), before)
    with without_adapter(model):
        torch.testing.assert_close(loss_sum(model, forest), before)
    assert not torch.allclose(loss_sum(model, forest), before)


def test_of_the_tables_only_the_new_rows_learn() -> None:
    model = adapted("llama")
    learned = [p.shape for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name]
    assert learned == [(3, 32), (3, 32)]
