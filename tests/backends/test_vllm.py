"""vLLM behind our gateway, tested against a server that speaks its protocol."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from sonneteer.backends.engines import versions_of
from sonneteer.backends.vllm import VllmVersions
from sonneteer.chat import Chat, Engine, Form, Options
from sonneteer.errors import BusyError, ExtraError, MachineError, ModelError, RecipeError
from sonneteer.models.attached import vllm as attached
from sonneteer.models.engine.chat import EngineChat
from sonneteer.recipe.engines import VllmSettings
from sonneteer.recipe.sections import ServingSettings, TrainingSettings
from sonneteer.records import Message, ModelVersion, Prompt
from sonneteer.serving.refusals import OVERLOADED, refusal_of
from sonneteer.store import Store

from ..models.attached import fake_vllm
from ..models.attached.fake_vllm import FakeVllm
from ..models.networks import saved
from .test_served import trained_version

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "LOOK_SECONDS", 0.02)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


@pytest.fixture
def fake() -> Iterator[FakeVllm]:
    with FakeVllm(key="secret") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def versions(fake: FakeVllm, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmVersions]:
    monkeypatch.setenv("FAKE_KEY", "secret")
    settings = ServingSettings(engine="vllm", max_streams=4, vllm=VllmSettings(url=fake.url, key_variable="FAKE_KEY"))
    versions = versions_of(settings, store, Path(), _no_export)
    assert isinstance(versions, VllmVersions)
    yield versions
    versions.close()


def _no_export(_: ModelVersion) -> Path:
    raise AssertionError


def asked(text: str, *tools: dict[str, object]) -> Prompt:
    return Prompt(messages=(Message(role="user", text=text),), tools=tools)


def said(chat: EngineChat, **options: object) -> str:
    return chat.answer([asked("Hi")], Options.model_validate({"max_tokens": 9} | options))[0].text


def until(is_true: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not is_true():
        assert monotonic() < end, "waited in vain"
        sleep(0.02)


def test_adapters_are_loaded_into_a_running_server_replaced_and_taken_out(
    versions: VllmVersions, fake: FakeVllm, store: Store, base: Path
) -> None:
    one, two = (trained_version(store, base, number, TrainingSettings(rank=4)) for number in (1, 2))
    chats = [versions.open(model) for model in (one, two)]
    assert isinstance(chats[0], Chat)
    assert isinstance(chats[0], Engine)
    tokens = chats[0].count_tokens(asked("Hi"))
    assert [said(chat) for chat in chats] == [f"{model.id} has read {tokens}" for model in (one, two)]
    assert chats[0].context == 400
    fake.adapters.clear()  # as after a restart that nobody noticed
    assert said(chats[0]) == f"tiny-1 has read {tokens}"
    assert fake.adapters == {"tiny-1": str((store.root / one.folder).resolve())}
    chats.clear()
    gc.collect()
    assert fake.adapters == {}


def test_the_gateway_s_language_is_ours_and_not_vllm_s(
    versions: VllmVersions, fake: FakeVllm, store: Store, base: Path
) -> None:
    model = trained_version(store, base, 1, TrainingSettings(rank=4)).model_copy(update={"id": "caller"})
    chat = versions.open(model)
    prompt = asked("How is the weather?", WEATHER)
    (answer,) = chat.answer([prompt], Options(max_tokens=90))
    assert (answer.text, answer.stop_reason) == ("Let me see.", "tool_use")
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("weather", {"city": "Rome"})]
    (answer,) = chat.answer([prompt], Options(max_tokens=90, form=Form(must_call=True)))
    assert (answer.text, [call.name for call in answer.tool_calls]) == ("", ["weather"])
    (answer,) = chat.answer([asked("n?")], Options(max_tokens=90, form=Form(json_schema={"type": "object"})))
    assert json.loads(answer.text) == {"n": 3}
    (answer,) = chat.answer([asked("Hi")], Options(max_tokens=3, log_probs=2))
    assert (answer.stop_reason, answer.answer_tokens) == ("length", 3)
    first = answer.chances[0]
    assert (first.id, first.log_prob, [value for _, value in first.others]) == (40, -0.5, [-0.5, -1.5])
    (answer,) = chat.answer([asked("Hi")], Options(max_tokens=9, stop=("see",)))
    assert (answer.text, answer.stop_sequence) == ("Let me ", "see")
    body = fake.asked[-1]
    assert all(isinstance(token, int) for token in body["prompt"])
    assert "messages" not in body


def test_one_that_we_started_is_started_again_with_its_adapters(store: Store, base: Path) -> None:
    command = (sys.executable, fake_vllm.__file__)
    settings = ServingSettings(engine="vllm", vllm=VllmSettings(command=command, start_seconds=60))
    versions = VllmVersions(settings, store, Path())
    try:
        chat = versions.open(trained_version(store, base, 1, TrainingSettings(rank=4)))
        before = said(chat)
        assert before.startswith("tiny-1 has read")
        assert versions.server is not None
        assert versions.server.process is not None
        dead = versions.server.process.pid
        os.kill(dead, signal.SIGKILL)
        until(lambda: versions.server.process.pid != dead and versions.server.is_well)  # type: ignore[union-attr]
        assert said(chat) == before
    finally:
        versions.close()
    with pytest.raises(BusyError, match="does not answer") as gone:
        said(chat)
    assert refusal_of(gone.value, "req_1").status == OVERLOADED


def test_what_cannot_be_served_so_is_refused_with_what_to_do(
    versions: VllmVersions, fake: FakeVllm, store: Store, base: Path, tmp_path: Path
) -> None:
    packed = trained_version(store, base, 1, TrainingSettings(rank=4, base_weights="4bit"))
    with pytest.raises(ModelError, match=r"quantised weights.*--to merged"):
        versions.open(packed)
    versions.open(trained_version(store, base, 2, TrainingSettings(rank=4)))
    other = trained_version(store, base, 3, TrainingSettings(rank=4)).model_copy(update={"base_fingerprint": "0" * 16})
    with pytest.raises(ModelError, match="other base weights"):
        versions.open(other)
    fake.may_load = False
    with pytest.raises(ModelError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        versions.open(trained_version(store, base, 4, TrainingSettings(rank=4)))


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"command": ("no-such-program",)}, ExtraError, "pip install vllm"),
        ({"command": (sys.executable, "-c", "print('out of memory')")}, MachineError, "out of memory"),
        ({"url": "http://127.0.0.1:9"}, MachineError, "nobody answers"),
        ({"url": "http://127.0.0.1:9", "key_variable": "NOT_SET_HERE"}, RecipeError, "NOT_SET_HERE"),
    ],
    ids=["no program", "ends at once", "nobody there", "no key"],
)
def test_a_server_that_does_not_become_ready_says_why(
    settings: dict[str, object], error: type[Exception], says: str, store: Store, base: Path
) -> None:
    versions = VllmVersions(ServingSettings(vllm=VllmSettings.model_validate(settings)), store, Path())
    with pytest.raises(error, match=says):
        versions.open(trained_version(store, base, 1, TrainingSettings(rank=4)))


def test_a_model_of_another_name_than_the_server_has_is_named(
    fake: FakeVllm, store: Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", "secret")
    settings = VllmSettings(url=fake.url, key_variable="FAKE_KEY", model="other", workspace="/seen/there")
    versions = VllmVersions(ServingSettings(vllm=settings), store, Path())
    with pytest.raises(RecipeError, match=r"'other'.*has base"):
        versions.open(trained_version(store, base, 1, TrainingSettings(rank=4)))
    versions.close()
    assert fake.adapters == {}
