"""Images: refused in the caller's dialect where the model reads text only, passed on where it sees."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen2VLConfig

from sonneteer.models.attached.dialects import VllmDialect
from sonneteer.models.attached.engine import AttachedEngine
from sonneteer.models.attached.engine import Server as Attached
from sonneteer.models.attached.http import Address
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.reading import reader_of, shape_of
from sonneteer.testing import ScriptedChat

from ..models.attached.fake_vllm import IMAGE_TOKENS, FakeVllm
from ..models.networks import saved

RAW = base64.b64encode(b"GIF89a").decode()
LINK, DATA = "https://example.com/cat.png", f"data:image/gif;base64,{RAW}"
PART = {"type": "image_url", "image_url": {"url": LINK}}
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": RAW}}
LINKED = {"type": "image", "source": {"type": "url", "url": LINK}}


def words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def seen(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.fixture(scope="module")
def blind(start: Any) -> Any:
    return start(ScriptedChat(["Hello"]))


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeVllm]:
    with FakeVllm() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def seeing(start: Any, fake: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = saved("llama", tmp_path_factory.mktemp("base"))
    reader = reader_of(shape_of(folder), folder)
    dialect = VllmDialect([3], lambda token: str(token).encode())
    engine = AttachedEngine(reader, Attached(Address(fake.url), dialect, "base", sees_images=True), seats=2)
    yield start(EngineChat(engine))
    engine.close()


def ask(server: Any, path: str, *content: Any, **more: Any) -> Any:
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": list(content)}]}
    return server.ask("POST", path, body | more)


def test_a_model_that_reads_text_only_says_so_in_the_callers_dialect(blind: Any) -> None:
    told = ask(blind, "/v1/messages", words("See"), BLOCK)
    message = "messages.0.content.1: images are not supported: poet reads text and tool calls"
    assert (told.status, told.json["error"]) == (400, {"type": "invalid_request_error", "message": message})
    assert told.json["request_id"] == told.headers["request-id"]
    told = ask(blind, "/v1/chat/completions", PART)
    error = {"type": "invalid_request_error", "param": "messages.0.content.0", "code": None}
    assert told.status == 400
    assert told.json["error"] == error | {"message": message.replace("content.1", "content.0")}
    assert ask(blind, "/v1/messages/count_tokens", BLOCK).status == 400


def test_images_reach_a_model_that_sees_where_they_stood(seeing: Any, fake: FakeVllm) -> None:
    told = ask(seeing, "/v1/messages", words("One"), BLOCK, words("or"), words("two"), LINKED)
    assert told.json["content"] == [words(f"base has read {1 + 2 * IMAGE_TOKENS}")]
    assert told.json["usage"]["input_tokens"] == 1 + 2 * IMAGE_TOKENS
    content = [words("One"), seen(DATA), words("or\ntwo"), seen(LINK)]
    assert fake.asked[-1]["messages"] == [{"role": "user", "content": content}]
    told = ask(seeing, "/v1/chat/completions", seen(DATA), words("What is it?"), logprobs=True, top_logprobs=1)
    assert told.json["usage"]["prompt_tokens"] == 1 + IMAGE_TOKENS
    assert told.json["choices"][0]["logprobs"]["content"][0]["token"] == "base"
    assert fake.asked[-1]["messages"] == [{"role": "user", "content": [seen(DATA), words("What is it?")]}]


def test_the_rest_of_the_conversation_comes_along(seeing: Any, fake: FakeVllm) -> None:
    turns = [
        {"role": "user", "content": [BLOCK]},
        {"role": "user", "content": [words("And"), LINKED]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "A cat."}]},
        {"role": "assistant", "content": "It is"},
    ]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    body = {"model": "poet", "max_tokens": 9, "stream": True, "system": "Be brief.", "messages": turns, "tools": tools}
    told = seeing.ask("POST", "/v1/messages", body)
    assert told.events[-1] == {"type": "message_stop"}
    asked = fake.asked[-1]
    call = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [seen(DATA), words("And"), seen(LINK)]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "A cat.", "tool_call_id": "t1"},
        {"role": "assistant", "content": "It is"},
    ]
    assert (asked["continue_final_message"], asked["tool_choice"], len(asked["tools"])) == (True, "none", 1)


def test_what_has_no_images_goes_as_tokens_as_ever(seeing: Any, fake: FakeVllm) -> None:
    assert ask(seeing, "/v1/messages", words("Hi")).status == 200
    assert "prompt" in fake.asked[-1]


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("/v1/chat/completions", seen("file:///etc/passwd"), "https: address"),
        ("/v1/chat/completions", seen("data:image/png;base64,???"), "no base64"),
        ("/v1/chat/completions", seen("data:image/png;base64,"), "empty"),
        ("/v1/messages", {"type": "image", "source": {"type": "file", "file_id": "f"}}, "source"),
        ("/v1/messages", {"type": "tool_result", "tool_use_id": "t", "content": [BLOCK]}, "tool's result"),
        ("/v1/messages/count_tokens", BLOCK, "cannot be counted"),
    ],
)
def test_what_is_no_image_or_stands_where_none_may_is_refused(seeing: Any, path: str, content: Any, says: str) -> None:
    told = ask(seeing, path, content)
    assert told.status == 400
    assert says in told.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_the_assistant_shows_no_images(seeing: Any, path: str) -> None:
    part = BLOCK if path == "/v1/messages" else PART
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [part]}]
    assert ask(seeing, path, messages=turns).status == 400


def test_a_network_s_configuration_tells_whether_it_sees(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 400}
    Qwen2VLConfig(text_config=sizes).save_pretrained(tmp_path / "sees")
    assert shape_of(tmp_path / "sees").sees_images
    assert not shape_of(saved("llama", tmp_path)).sees_images
