"""Each of the field's known faults between training and serving is planted, and the certificate finds it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sonneteer import lifecycle
from sonneteer.backends.http_checks import OverHttp
from sonneteer.backends.local import LocalBackend
from sonneteer.backends.served import ServedVersions
from sonneteer.errors import ModelError
from sonneteer.models.engine.engine import AnsweringEngine
from sonneteer.models.engine.loras import Loras
from sonneteer.models.engine.stack import Changes
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel
from sonneteer.models.scratch import new_tokenizer
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.store import Store

from ..models.networks import SHAPE, saved
from .conftest import RECIPE, Trained, failed

Plant = Callable[[LanguageModel], LanguageModel]


def with_template(model: LanguageModel, change: Callable[[str], str]) -> LanguageModel:
    model.tokenizer.chat_template = change(str(model.tokenizer.chat_template))
    return model


def other_marks(model: LanguageModel) -> LanguageModel:
    return with_template(model, lambda text: text.replace("<|im_start|>", "## "))


def missing_end(model: LanguageModel) -> LanguageModel:
    ended = "{{- '<|im_end|>' }}\n{%- endgeneration %}"
    return with_template(model, lambda text: text.replace(ended, "{%- endgeneration %}"))


def double_beginning(model: LanguageModel) -> LanguageModel:
    model.tokenizer.bos_token = "<|endoftext|>"
    return with_template(model, lambda text: "{{ bos_token }}{{ bos_token }}" + text)


def four_bits(model: LanguageModel) -> LanguageModel:
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "proj" in name:
                step = weight.abs().max() / 7
                weight.copy_((weight / step).round() * step)
    return model


def stale_tokenizer(model: LanguageModel) -> LanguageModel:
    return replace(model, tokenizer=new_tokenizer(["Quite another language, with words of its own."], 300))


SERVED = "the served model, an adapter beside its base in one batch with another, is the one that"
RENDERING: dict[str, tuple[Plant, str]] = {
    "other marks": (other_marks, "server: the prompt that is asked opens what was learned: Example"),
    "missing end": (missing_end, "is '<|im_end|>' in training, but"),
    "double beginning": (double_beginning, "it begins with '<|endoftext|>' twice"),
    "stale tokenizer": (
        stale_tokenizer,
        "server: the tokens of whole conversations are those of the training: Example",
    ),
}


def served_with(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ServedVersions._engine
    monkeypatch.setattr(ServedVersions, "_engine", lambda self, model: honest(self, plant(model)))


def test_an_honest_server_passes_whatever_answers(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("no engine of ours")

    monkeypatch.setattr(AnsweringEngine, "__init__", refuse)
    certificate = trained.certify()
    assert certificate.is_valid, failed(certificate)
    assert "the served model is the one that is stored" in {check.name for check in certificate.checks}


@pytest.mark.parametrize("fault", RENDERING)
def test_other_tokens_on_the_way_to_the_server_are_found_and_named(
    fault: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, words = RENDERING[fault]
    served_with(plant, monkeypatch)
    found = failed(trained.certify())
    assert words in found
    assert re.search(r"token \d+ is .+ in training, but .+ when served", found)


def test_weights_that_were_rounded_are_found_in_each_form(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    served_with(four_bits, monkeypatch)
    found = failed(trained.certify())
    assert f"{SERVED} is stored: Next" in found
    assert "the model over HTTP is the one that is stored" in found
    assert "merged" not in found
    monkeypatch.undo()
    honest = LocalBackend.open
    monkeypatch.setattr(LocalBackend, "open", lambda self, model: LocalChat(four_bits(honest(self, model).model)))
    found = failed(trained.certify())
    assert "the merged model is the one that is stored: Next" in found
    assert "served" not in found.replace("when served", "")


def test_an_adapter_that_was_not_loaded_is_found(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnsweringEngine, "load_adapter", lambda self, name, folder: None)
    assert "the served model is the one that was trained" in failed(trained.certify())


def test_adapters_that_leak_into_one_another_are_found(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Loras.of_rows

    def leaking(self: Loras, adapters_N: torch.Tensor) -> list[Changes]:
        layers = honest(self, adapters_N)
        return [{place: (a, b, torch.ones_like(own)) for place, (a, b, own) in layer.items()} for layer in layers]

    monkeypatch.setattr(Loras, "of_rows", leaking)
    found = failed(trained.certify())
    assert f"{SERVED} was trained" in found
    assert "over HTTP" not in found  # there it is asked alone


def test_a_server_that_answers_otherwise_than_the_model_in_memory_is_found(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = OverHttp.ask

    def changed(self: OverHttp, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        told = honest(self, path, asked)
        told["usage"]["prompt_tokens"] += 1
        for likelihoods in (choice["logprobs"] for choice in told["choices"] if path == "/v1/completions"):
            likelihoods["token_logprobs"][-1] -= 0.5
        return told

    monkeypatch.setattr(OverHttp, "ask", changed)
    found = failed(trained.certify())
    assert "HTTP: the server answers as the model in memory does: Example" in found
    assert "the model over HTTP is the one that was trained: " in found
    assert f"{SERVED}" not in found


def test_what_was_learned_beside_four_bits_is_served_with_the_weights_that_these_stand_for(tmp_path: Path) -> None:
    saved("llama", tmp_path / "base")
    wide = {"hidden_size": 128, "intermediate_size": 256}  # blocks of 64 weights share a scale
    LlamaForCausalLM(LlamaConfig(**(SHAPE | wide))).save_pretrained(tmp_path / "base")
    rows = [{"prompt": f"Say {i}", "completion": "Good day to you."} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = RECIPE.replace("rank: 4", "rank: 4, base_weights: 4bit, precision: float32")
    new_words = "model: base, vocabulary: {new_terms: 2, least_saving: 1}"
    (tmp_path / "recipe.yaml").write_text(
        recipe.replace("model: base", new_words) + "promotion: {better_on: [bits_per_character]}\n"
    )
    trained = Trained(read_recipe(tmp_path), Store(tmp_path / "workspace"))
    lifecycle.train(*trained, Silent())
    certificate = trained.certify()
    assert certificate.is_valid, failed(certificate)
    same = next(check for check in certificate.checks if check.name == "the served model is the one that was trained")
    assert "Allowed: 0.0001" in same.says  # as exact as whole weights
