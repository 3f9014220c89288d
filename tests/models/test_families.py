"""Networks whose layers cannot follow a forest's paths are recognised, and computed without sharing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
)

from sonneteer.models.families import shares_prefixes
from sonneteer.models.forest import plant
from sonneteer.models.logprobs import loss_sum

from .networks import FAMILIES, SHAPE, network
from .test_logprobs import CLOSE, batch, gradients, plain_loss, worst

OTHERS = {
    "lfm2": (Lfm2ForCausalLM, Lfm2Config, {"layer_types": ["conv", "full_attention"]}),
    "mamba": (MambaForCausalLM, MambaConfig, {}),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, {"head_dim": 16, "final_logit_softcapping": 0.5}),
    "gpt_oss": (GptOssForCausalLM, GptOssConfig, {"head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1}),
}


def other(name: str) -> PreTrainedModel:
    """A tiny random network of a family that cannot share."""
    torch.manual_seed(0)
    kind, config, extra = OTHERS[name]
    return kind(config(**(SHAPE | extra))).float().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_over_paths_and_windows_shares(family: str) -> None:
    assert shares_prefixes(network(family))


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_do_not_share_and_yet_give_the_plain_loss_and_gradients(name: str) -> None:
    model, sequences = other(name), batch(9)[:6]
    assert not shares_prefixes(model)
    loss = loss_sum(model, plant(sequences))
    loss.backward()
    ours = gradients(model)
    plain = sum((plain_loss(model, sequence) for sequence in sequences), torch.zeros(()))
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=CLOSE)
    assert worst(ours, gradients(model)) < CLOSE


def test_a_network_with_convolutions_is_trained_from_end_to_end(tmp_path: Path) -> None:
    from sonneteer.models.load import LanguageModel
    from sonneteer.progress import Silent
    from sonneteer.recipe.sections import Recipe
    from sonneteer.training.fit import fit
    from sonneteer.training.objectives import Imitation

    from ..training.test_loop import material
    from .networks import tokenizer

    recipe = Recipe.model_validate(
        {
            "name": "convolutions",
            "data": {"sources": [{"path": "unused.jsonl"}]},
            "training": {"learning_rate": 0.02, "epochs": 10, "batch_size": 4, "precision": "float32"},
        }
    )
    model = LanguageModel("lfm2", other("lfm2"), tokenizer(), "0" * 16)
    fitted = fit(model, recipe, Imitation(), material(), tmp_path, Silent())
    assert fitted.counters.best_loss is not None
    assert fitted.counters.first_loss is not None
    assert fitted.counters.best_loss < fitted.counters.first_loss - 0.2
    assert (tmp_path / "result" / "adapter_model.safetensors").exists()
