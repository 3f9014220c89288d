"""Each of the field's known faults between training and serving is planted, and the certificate finds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sonneteer import lifecycle
from sonneteer.backends import http_checks
from sonneteer.backends.local import LocalBackend
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel, open_folder, tokenizer_of
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import Certificate
from sonneteer.store import Store

from ..models.networks import SHAPE, saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl}
base: {model: base, vocabulary: {new_terms: 2, least_saving: 1}}
training: {learning_rate: 0.02, epochs: 2, rank: 4}
promotion: {better_on: [bits_per_character]}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedRecipe:
    folder = tmp_path_factory.mktemp("faults")
    saved("llama", folder / "base")
    rows = [
        {"messages": [{"role": "user", "content": f"Say {i}"}, {"role": "assistant", "content": "Good day to you."}]}
        for i in range(40)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE)
    lifecycle.train(read_recipe(folder), Store(folder / "workspace"), Silent())
    return read_recipe(folder)


def certified(loaded: LoadedRecipe) -> Certificate:
    return lifecycle.certify(loaded, Store(loaded.folder / "workspace"), Silent())


def failed(certificate: Certificate) -> str:
    return "\n".join(f"{check.name}: {check.says}" for check in certificate.checks if not check.is_passed)


def with_template(model: LanguageModel, change: Callable[[str], str]) -> LanguageModel:
    model.tokenizer.chat_template = change(str(model.tokenizer.chat_template))
    return model


def other_marks(model: LanguageModel, base: Path) -> LanguageModel:
    return with_template(model, lambda text: text.replace("<|im_start|>", "## "))


def missing_end(model: LanguageModel, base: Path) -> LanguageModel:
    ended = "{{- '<|im_end|>' }}\n{%- endgeneration %}"
    return with_template(model, lambda text: text.replace(ended, "{%- endgeneration %}"))


def double_beginning(model: LanguageModel, base: Path) -> LanguageModel:
    model.tokenizer.bos_token = "<|endoftext|>"
    return with_template(model, lambda text: "{{ bos_token }}{{ bos_token }}" + text)


def merged_into_four_bits(model: LanguageModel, base: Path) -> LanguageModel:
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "proj" in name:
                step = weight.abs().max() / 7
                weight.copy_((weight / step).round() * step)
    return model


def adapter_not_loaded(model: LanguageModel, base: Path) -> LanguageModel:
    bare = open_folder(model.name, base).network
    bare.resize_token_embeddings(model.network.config.vocab_size, mean_resizing=False)
    return replace(model, network=bare)


def stale_tokenizer(model: LanguageModel, base: Path) -> LanguageModel:
    return replace(model, tokenizer=tokenizer_of(base))


FAULTS: dict[str, tuple[Callable[[LanguageModel, Path], LanguageModel], str]] = {
    "other marks": (other_marks, "server: the prompt that is asked opens what was learned: Example"),
    "missing end": (missing_end, "is '<|im_end|>' in training, but"),
    "double beginning": (double_beginning, "it begins with '<|endoftext|>' twice"),
    "four bits": (merged_into_four_bits, "the served model is the one that is stored: Next"),
    "no adapter": (adapter_not_loaded, "the served model is the one that was trained"),
    "stale tokenizer": (
        stale_tokenizer,
        "server: the tokens of whole conversations are those of the training: Example",
    ),
}


def test_an_honest_server_passes(loaded: LoadedRecipe) -> None:
    assert certified(loaded).is_valid, failed(certified(loaded))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_the_way_to_the_server_is_found(
    fault: str, loaded: LoadedRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, words = FAULTS[fault]
    honest = LocalBackend.open
    monkeypatch.setattr(
        LocalBackend,
        "open",
        lambda self, model: LocalChat(plant(honest(self, model).model, loaded.folder / "base")),
    )
    assert words in failed(certified(loaded))


def test_a_server_that_answers_otherwise_than_the_model_in_memory_is_found(
    loaded: LoadedRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = http_checks._ask

    def changed(address: str, name: str, probe: object) -> dict[str, object]:
        told = honest(address, name, probe)  # type: ignore[arg-type]
        told["usage"]["prompt_tokens"] += 1
        return told

    monkeypatch.setattr(http_checks, "_ask", changed)
    assert "HTTP: the server answers as the model in memory does: Example" in failed(certified(loaded))


def test_what_was_learned_beside_four_bits_is_served_with_the_weights_that_these_stand_for(tmp_path: Path) -> None:
    saved("llama", tmp_path / "base")
    wide = {"hidden_size": 128, "intermediate_size": 256}  # blocks of 64 weights share a scale
    LlamaForCausalLM(LlamaConfig(**(SHAPE | wide))).save_pretrained(tmp_path / "base")
    rows = [{"prompt": f"Say {i}", "completion": "Good day to you."} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("rank: 4", "rank: 4, base_weights: 4bit, precision: float32"))
    loaded = read_recipe(tmp_path)
    lifecycle.train(loaded, Store(tmp_path / "workspace"), Silent())
    certificate = certified(loaded)
    assert certificate.is_valid, failed(certificate)
    same = next(check for check in certificate.checks if check.name == "the served model is the one that was trained")
    assert "Allowed: 0.0001" in same.says  # as exact as whole weights
