"""Versions are served by one engine where they can share it, and by themselves where not."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from sonneteer.backends.served import ServedVersions
from sonneteer.chat import Options
from sonneteer.models.adapters import add_adapter, merged, put_on
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.generate import LocalChat
from sonneteer.models.load import LanguageModel, open_folder
from sonneteer.models.quantise import open_unpacked
from sonneteer.profile import machine
from sonneteer.recipe.sections import ServingSettings, TrainingSettings
from sonneteer.records import Message, ModelVersion, Prompt, Run
from sonneteer.store import Store

from ..made import version
from ..models.networks import saved

PROMPT = Prompt(messages=(Message(role="user", text="Where is my order?"),))


def trained_version(store: Store, base: Path, number: int, training: TrainingSettings) -> ModelVersion:
    """A trained adapter of the base, as a run leaves it."""
    store.save(run(number, training))
    folder = store.root / f"result-{number}"
    model = open_folder("base", base)
    adapted = add_adapter(model.network, training, seed=number)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    made = {"folder": folder.name, "run_id": f"run-{number}", "dataset_id": "data"}
    return version("tiny", number, base=str(base), created_at=datetime.now(UTC), **made)


def run(number: int, training: TrainingSettings) -> Run:
    return Run(
        id=f"run-{number}",
        name="tiny",
        status="done",
        recipe={"training": training.model_dump(mode="json")},
        dataset_id="data",
        base="base",
        base_fingerprint="f" * 16,
        machine=machine(),
        started_at=datetime.now(UTC),
    )


def merged_answer(store: Store, base: Path, model: ModelVersion, opened: LanguageModel | None = None) -> str:
    opened = opened or open_folder("base", base)
    network = merged(put_on(opened.network, store.root / model.folder))
    chat = LocalChat(LanguageModel(model.name, network, opened.tokenizer, ""))
    return chat.answer([PROMPT], Options(max_tokens=12))[0].text


@pytest.mark.parametrize("shares", [True, False])
def test_versions_answer_like_their_merged_weights_and_adapters_share_an_engine(tmp_path: Path, shares: bool) -> None:
    store, base = Store(tmp_path / "workspace"), saved("qwen3", tmp_path / "base")
    versions = ServedVersions(ServingSettings(share_base=shares), store, tmp_path)
    models = [trained_version(store, base, number, TrainingSettings(rank=4)) for number in (1, 2)]
    models.append(trained_version(store, base, 3, TrainingSettings(rank=4, dora=True)))  # cannot stand beside others
    chats = [versions.open(model) for model in models]
    for model, chat in zip(models, chats, strict=True):
        assert chat.answer([PROMPT], Options(max_tokens=12))[0].text == merged_answer(store, base, model)
    engines = [chat.engine for chat in chats if isinstance(chat, EngineChat)]
    assert [engines[0] is engines[1], engines[0] is engines[2]] == [shares, False]
    versions.close()


def test_a_network_of_another_kind_is_answered_one_by_one(tmp_path: Path) -> None:
    store, base = Store(tmp_path / "workspace"), saved("gemma3", tmp_path / "base")
    versions = ServedVersions(ServingSettings(), store, tmp_path)
    model = trained_version(store, base, 1, TrainingSettings(rank=4))
    chat = versions.open(model)
    assert isinstance(chat, LocalChat)
    assert chat.answer([PROMPT], Options(max_tokens=12))[0].text == merged_answer(store, base, model)


def test_an_adapter_that_learned_beside_a_quantised_base_is_served_beside_what_those_bits_stand_for(
    tmp_path: Path,
) -> None:
    pytest.importorskip("bitsandbytes")
    store, base = Store(tmp_path / "workspace"), saved("llama", tmp_path / "base")
    versions = ServedVersions(ServingSettings(), store, tmp_path)
    plain = trained_version(store, base, 1, TrainingSettings(rank=4))
    packed = trained_version(store, base, 2, TrainingSettings(rank=4, base_weights="4bit"))
    chats = [versions.open(model) for model in (plain, packed)]
    assert isinstance(chats[0], EngineChat)
    assert isinstance(chats[1], EngineChat)
    assert chats[0].engine is not chats[1].engine
    expected = merged_answer(store, base, packed, open_unpacked("base", base, "4bit"))
    assert chats[1].answer([PROMPT], Options(max_tokens=12))[0].text == expected
    versions.close()


def test_a_version_that_nobody_holds_any_more_gives_its_memory_back(tmp_path: Path) -> None:
    store, base = Store(tmp_path / "workspace"), saved("llama", tmp_path / "base")
    for shares in (True, False):
        versions = ServedVersions(ServingSettings(share_base=shares), store, tmp_path)
        chat = versions.open(trained_version(store, base, 1, TrainingSettings(rank=4)))
        assert isinstance(chat, EngineChat)
        chat.answer([PROMPT], Options(max_tokens=2))
        held = weakref.ref(chat.adapter if shares else chat.engine)
        del chat
        gc.collect()
        assert held() is None
        versions.close()
