"""llama.cpp behind the same seam as the embedded engine: it says what the network says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.backends.llamacpp import open_gguf
from sonneteer.chat import Chat, Engine, Form, Options
from sonneteer.errors import RequestError
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.reading import shape_of
from sonneteer.models.generate import LocalChat
from sonneteer.models.gguf_model import write_model
from sonneteer.models.load import open_folder
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt

from ..networks import saved

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'sonneteer[llamacpp]'")
TEXTS = ["Hello?", "Where is my order, please?", "The cat sat on the mat. " * 8]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("llama", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def chat(folder: Path) -> EngineChat:
    model, file = open_folder("tiny", folder), folder / "tiny.gguf"
    write_model(model.network, model.tokenizer, file, "f32")
    return open_gguf(file, folder, shape_of(folder), ServingSettings(max_streams=2, llamacpp={"threads": 1}))


def asked(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", text=text),))


def test_it_answers_what_the_network_answers_several_at_a_time(chat: EngineChat, folder: Path) -> None:
    assert isinstance(chat, Chat)
    assert isinstance(chat, Engine)
    prompts, options = [asked(text) for text in TEXTS], Options(max_tokens=8)
    ours = LocalChat(open_folder("tiny", folder)).answer(prompts, options)
    theirs = chat.answer(prompts, options)
    for one, other in zip(theirs, ours, strict=True):  # llama.cpp leaves bytes out that are no character
        assert one.text.replace("\ufffd", "") == other.text.replace("\ufffd", "")
    assert [answer.prompt_tokens for answer in theirs] == [answer.prompt_tokens for answer in ours]
    assert [answer.stop_reason for answer in theirs] == [answer.stop_reason for answer in ours]


def test_a_schema_is_kept_and_likelihoods_and_stops_are_told(chat: EngineChat) -> None:
    prompt = asked("How many?")
    (answer,) = chat.answer([prompt], Options(max_tokens=60, form=Form(json_schema=SCHEMA)))
    assert 1 <= json.loads(answer.text)["n"] <= 9
    (answer,) = chat.answer([prompt], Options(max_tokens=4, log_probs=2))
    assert [len(chance.others) for chance in answer.chances] == [2] * answer.answer_tokens
    assert all(chance.log_prob == max(value for _, value in chance.others) for chance in answer.chances)
    stop = answer.text[1:3]
    (stopped,) = chat.answer([prompt], Options(max_tokens=4, stop=(stop,)))
    assert (stopped.text, stopped.stop_reason) == (answer.text[: answer.text.index(stop)], "stop_sequence")


def test_what_it_would_do_otherwise_than_meant_is_refused(chat: EngineChat) -> None:
    with pytest.raises(RequestError, match="prompt's words"):
        chat.answer([asked("Hello?")], Options(presence_penalty=1.0))
    with pytest.raises(RequestError, match="too long"):
        chat.answer([asked("word " * 5000)], Options())
