"""Once around: raw rows become a proven, served model, and nothing leaves the machine meanwhile."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from sonneteer import data, lifecycle, versions
from sonneteer.errors import MissingError
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import DatasetVersion, ModelVersion, Report, Run
from sonneteer.serving import Keys, ServedModel, create_app
from sonneteer.serving.listen import server
from sonneteer.store import Store

from .made import easy_recipe
from .models.networks import FAMILIES, saved

RECIPE = """
name: tiny
data:
  sources: rows.jsonl
base:
  model: {base}
training:
  method: {method}
  learning_rate: 0.02
  epochs: 2
  rank: 4
evaluation:
  max_answer_tokens: 8
  max_examples: 8
"""


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Spy on name look-ups: nothing but this machine may be asked for."""
    names: list[str] = []
    real = socket.getaddrinfo

    def spy(host: object, *arguments: object, **more: object) -> object:
        names.append(host.decode() if isinstance(host, bytes) else str(host))
        return real(host, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    yield names
    assert set(names) <= {"127.0.0.1", "localhost", "::1", "None"}


def loaded(folder: Path, base: str, method: str = "lora") -> LoadedRecipe:
    return easy_recipe(folder, RECIPE.format(base=base, method=method))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_story_goes_round_with_every_family(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path / "base")
    recipe, store = loaded(tmp_path, "base"), Store(tmp_path / "workspace")
    report = lifecycle.run(recipe, store, Silent())
    assert report.verdict == "better"
    (model,) = store.find(ModelVersion)
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    assert (run.status, model.report_id, run.dataset_id) == ("done", report.id, dataset.id)
    assert sum(dataset.totals.values()) == len(data.read_ledger(store, dataset)) == 60
    assert run.unique_tokens < run.tokens
    assert (store.folder(run.id) / "loss.svg").exists()
    assert (store.root / "tiny-dossier.html").exists()


def test_the_same_command_again_does_nothing_again(tmp_path: Path) -> None:
    saved("llama", tmp_path / "base")
    recipe, store = loaded(tmp_path, "base"), Store(tmp_path / "workspace")
    first = lifecycle.run(recipe, store, Silent())
    assert lifecycle.run(recipe, store, Silent()) == first
    assert len(store.find(Run)) == len(store.find(Report)) == len(store.find(ModelVersion)) == 1


def test_full_training_makes_a_whole_model(tmp_path: Path) -> None:
    saved("qwen3", tmp_path / "base")
    recipe, store = loaded(tmp_path, "base", "full"), Store(tmp_path / "workspace")
    assert lifecycle.run(recipe, store, Silent()).verdict == "better"
    (model,) = store.find(ModelVersion)
    assert not model.is_adapter
    assert (store.root / model.folder / "model.safetensors").exists()


def test_a_model_from_scratch_learns_plain_text_and_conversations(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, "newborn", "full")
    text = (tmp_path / "recipe.yaml").read_text()
    scratch = "base:\n  from_scratch: {vocabulary_size: 300, hidden_size: 32, layers: 1, feed_forward_size: 64}\n"
    (tmp_path / "recipe.yaml").write_text(text.replace("base:\n", scratch).replace("rows.jsonl", "[rows.jsonl, t.txt]"))
    (tmp_path / "t.txt").write_text("Good day to you, said the cat. " * 200)
    recipe = read_recipe(tmp_path / "recipe.yaml")
    report = lifecycle.run(recipe, Store(tmp_path / "workspace"), Silent())
    assert report.verdict == "better"


def test_what_is_served_is_what_was_trained(tmp_path: Path) -> None:
    saved("qwen2", tmp_path / "base")
    loaded(tmp_path, "base")
    recipe = read_recipe(tmp_path / "recipe.yaml", ["--training.epochs=20", "--training.batch_size=8"])
    store = Store(tmp_path / "workspace")
    lifecycle.run(recipe, store, Silent())
    model = versions.newest(recipe, store)
    served = ServedModel(model.name, lifecycle.open_chat(recipe, store, "tuned"), model.created_at, 512)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = server(create_app([served], recipe.recipe.serving, Keys({})), recipe.recipe.serving)
        thread = threading.Thread(target=host.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = [{"role": "user", "content": "Say 3"}]
        with anthropic.Anthropic(base_url=url, api_key="any") as client:
            message = client.messages.create(model="claude-any", max_tokens=20, messages=asked)
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as other:
            completion = other.chat.completions.create(model="tiny", max_tokens=20, messages=asked)
        host.should_exit = True
        thread.join()
    assert (message.content[0].text, message.stop_reason) == ("Good day to you.", "end_turn")
    assert completion.choices[0].message.content == "Good day to you."


def test_a_model_that_was_never_trained_cannot_be_served(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, "base")
    with pytest.raises(MissingError, match="no model 'tiny'"):
        versions.newest(recipe, Store(tmp_path / "workspace"))


def test_the_libraries_that_call_home_are_told_not_to() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["DO_NOT_TRACK"] == "1"
    from huggingface_hub import constants

    assert constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_DISABLE_TELEMETRY
