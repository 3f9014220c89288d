"""Both APIs are asked over their real protocols: busy servers, refusals, and answers that are none."""

from __future__ import annotations

import pytest

from sonneteer.chat import Chat, Options
from sonneteer.errors import BusyError, RecipeError, RefusalError, RequestError
from sonneteer.external import ClaudeChat, ServerChat
from sonneteer.external import claude as by_package
from sonneteer.external import server as by_server
from sonneteer.recipe.sections import ExternalSettings
from sonneteer.records import Message, Prompt, ToolCall
from tests.external.speaking import Said, Script, busy, claude, gpt, in_turn, speaking

PROMPT = Prompt(messages=(Message(role="system", text="be brief"), Message(role="user", text="How are you?")))
APIS = ["package", "anthropic", "openai"]


def ask(api: str, script: Script) -> str:
    with speaking(script) as host:
        (answer,) = chat_of(api, host.url).answer([PROMPT], Options())
        return answer.text


def chat_of(api: str, url: str) -> Chat:
    kind = "openai" if api == "openai" else "anthropic"
    settings = ExternalSettings.model_validate({"name": "teacher", "url": url, "model": "m", "api": kind})
    return ClaudeChat(settings) if api == "package" else ServerChat(settings)


def said(api: str, text: str) -> Said:
    return gpt(text) if api == "openai" else claude(text)


@pytest.mark.parametrize("api", APIS)
def test_a_busy_server_is_asked_again_when_it_says(api: str) -> None:
    assert ask(api, in_turn(busy(429), busy(529), said(api, "well"))) == "well"


@pytest.mark.parametrize("api", APIS)
def test_a_server_that_stays_busy_is_named(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_package, "ATTEMPTS", 2)
    with pytest.raises(BusyError, match=r"status 429.*it goes on"):
        ask(api, in_turn(busy(429)))


@pytest.mark.parametrize(
    ("api", "declined"),
    [
        ("package", claude("", "refusal")),
        ("anthropic", claude("", "refusal")),
        ("openai", gpt(None, refusal="I cannot help with that.")),
        ("openai", gpt("", finish_reason="content_filter")),
    ],
)
def test_a_model_that_declines_has_answered_so(api: str, declined: Said) -> None:
    with speaking(in_turn(declined)) as host:
        (answer,) = chat_of(api, host.url).answer([PROMPT], Options())
    assert answer.stop_reason == "refusal"
    assert answer.text in ("", "I cannot help with that.")
    assert answer.prompt_tokens == 100, "it is paid for, too"


@pytest.mark.parametrize("api", APIS)
def test_a_question_that_the_server_does_not_take_is_a_refusal_and_a_wrong_key_is_not(api: str) -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}
    with pytest.raises(RefusalError, match="prompt is too long"):
        ask(api, in_turn(Said(body, 400)))
    with pytest.raises(RequestError, match=r"status 401.*`key_variable` in the recipe") as caught:
        ask(api, in_turn(Said(body, 401)))
    assert not isinstance(caught.value, RefusalError)


@pytest.mark.parametrize("body", [b"{torn", b"[]", b'{"content": 5}', b'"text"'])
@pytest.mark.parametrize("api", APIS)
def test_what_is_no_answer_of_the_protocol_is_told(api: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonneteer.external.server.ATTEMPTS", 1)
    with pytest.raises(RequestError):
        ask(api, in_turn(Said(body)))


@pytest.mark.parametrize("api", APIS)
def test_a_server_that_is_not_there_is_named(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_package, "ATTEMPTS", 0)
    monkeypatch.setattr(by_server, "ATTEMPTS", 1)
    with speaking(in_turn(said(api, "well"))) as host:
        url = host.url
    with pytest.raises(RequestError, match=r"http://.* cannot be reached"):
        chat_of(api, url).answer([PROMPT], Options())


def test_the_package_sends_the_system_prompt_apart_and_counts_tokens() -> None:
    with speaking(in_turn(claude("well"), Said({"input_tokens": 7}))) as host:
        chat = chat_of("package", host.url)
        assert [piece.text for piece in chat.stream(PROMPT, Options(max_tokens=9))] == ["well", ""]
        assert chat.count_tokens(PROMPT) == 7
    assert host.asked[0]["system"] == "be brief"
    assert host.asked[0]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "How are you?"}]}]
    assert host.asked[0]["max_tokens"] == 9


@pytest.mark.parametrize("api", APIS)
def test_a_call_of_a_tool_is_an_answer(api: str) -> None:
    block = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    body = said(api, "Let me see.").body
    if api == "openai":
        body["choices"][0] |= {"finish_reason": "tool_calls"}
        body["choices"][0]["message"]["tool_calls"] = [call]
    else:
        body |= {"content": [*body["content"], block], "stop_reason": "tool_use"}
    with speaking(in_turn(Said(body))) as host:
        (answer,) = chat_of(api, host.url).answer([PROMPT], Options())
    assert (answer.text, answer.stop_reason) == ("Let me see.", "tool_use")
    assert answer.tool_calls == (ToolCall(id="t1", name="weather", arguments={"city": "Rome"}),)


def test_a_call_whose_arguments_are_no_json_has_none() -> None:
    body = gpt(None, "tool_calls").body
    body["choices"][0]["message"]["tool_calls"] = [{"id": "t1", "function": {"name": "weather", "arguments": "Rome"}}]
    with speaking(in_turn(Said(body))) as host:
        (answer,) = chat_of("openai", host.url).answer([PROMPT], Options())
    assert answer.tool_calls == (ToolCall(id="t1", name="weather"),)


def test_tokens_that_cannot_be_counted_are_told_like_an_answer_that_fails() -> None:
    with speaking(in_turn(Said({}, 404))) as host, pytest.raises(RequestError, match=r"Check `url` and `model`"):
        chat_of("package", host.url).count_tokens(PROMPT)


def test_a_key_that_is_not_set_is_said_before_anything_is_asked() -> None:
    settings = ExternalSettings(name="t", url="http://127.0.0.1:9", model="m", key_variable="NO_SUCH_KEY_HERE")
    with pytest.raises(RecipeError, match="NO_SUCH_KEY_HERE"):
        ClaudeChat(settings)
