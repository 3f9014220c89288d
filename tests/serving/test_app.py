from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sonneteer.chat import Answer, Options, Piece
from sonneteer.errors import DataError, RecipeError, RequestError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Prompt
from sonneteer.serving import Keys, create_app, create_key, wire
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

SECRET = "the patient is called Ilse Bilse"


class FailingChat(ScriptedChat):
    """Fails, and quotes the prompt in doing so."""

    def __init__(self, problem: type[Exception]) -> None:
        super().__init__([""])
        self._problem = problem

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        raise self._problem(prompt.messages[-1].text)


@pytest.fixture(scope="module")
def server(start: Any) -> Any:
    return start(ScriptedChat(["Hello there"]))


@pytest.fixture(scope="module")
def guarded(start: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    ring = Store(tmp_path_factory.mktemp("keys")).keys
    key = create_key(ring, "tests")
    return start(ScriptedChat(["Hello there"]), keys=Keys.of(ring)), key


# Names -------------------------------------------------------------------------------------------


def test_health_says_ready_and_the_models_names(server: Any) -> None:
    assert server.ask("GET", "/health").json == {"status": "ready", "models": ["poet"]}


def test_the_first_model_stands_in_for_products_former_models_and_says_so(start: Any) -> None:
    server = start(base=ScriptedChat(["base"]), tuned=ScriptedChat(["tuned"]))
    assert server.message(model="claude-opus-4-1").json["model"] == "base"
    assert server.complete(model="gpt-5").json["model"] == "base"
    assert server.complete(model="tuned").json["choices"][0]["message"]["content"] == "tuned"
    assert server.message(model="gemini-3").status == 404


def test_stand_in_can_be_switched_off(start: Any) -> None:
    server = start(ScriptedChat(["Hi"]), ServingSettings(stand_in_for=()))
    assert server.message(model="claude-opus-4-1").json["error"]["message"] == "model: claude-opus-4-1"


def test_models_are_listed_in_the_shape_of_the_callers_api(server: Any) -> None:
    anthropic = server.ask("GET", "/v1/models", anthropic_version="2023-06-01").json
    openai = server.ask("GET", "/v1/models").json
    assert (anthropic["first_id"], anthropic["has_more"], anthropic["data"][0]["type"]) == ("poet", False, "model")
    assert (openai["object"], openai["data"][0]["object"]) == ("list", "model")
    assert anthropic["data"][0]["created_at"].startswith("2026-03-01T00:00:00")
    one = server.ask("GET", "/v1/models/poet", anthropic_version="2023-06-01").json
    assert one == anthropic["data"][0]


def test_the_list_of_models_comes_in_pages(start: Any) -> None:
    server = start(a=ScriptedChat([""]), b=ScriptedChat([""]), c=ScriptedChat([""]))

    def page(query: str) -> tuple[list[str], bool]:
        told = server.ask("GET", f"/v1/models?{query}", anthropic_version="2026-10-21").json
        return [model["id"] for model in told["data"]], told["has_more"]

    assert page("limit=2") == (["a", "b"], True)
    assert page("limit=2&after_id=b") == (["c"], False)
    assert page("limit=1&before_id=c") == (["b"], True)
    assert server.ask("GET", "/v1/models?limit=0", anthropic_version="2026-10-21").status == 400
    assert server.ask("GET", "/v1/models?after_id=z", anthropic_version="2026-10-21").status == 404


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/nothing", 404), ("GET", "/v1/messages", 405), ("DELETE", "/v1/models", 405), ("GET", "/docs", 404)],
)
def test_every_error_has_the_shape_of_the_callers_api_and_an_id(
    server: Any, method: str, path: str, status: int
) -> None:
    told = server.ask(method, path, anthropic_version="2023-06-01")
    assert (told.status, told.json["type"]) == (status, "error")
    assert told.headers["request-id"] == told.headers["x-request-id"] == told.json["request_id"]
    if not path.startswith("/v1/messages"):
        assert server.ask(method, path).json["error"]["code"] is None


def test_a_wrong_method_is_told_the_right_one(server: Any) -> None:
    assert server.ask("GET", "/v1/messages").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "meant"),
    [("/v1/v1/messages", "/v1/messages"), ("/chat/completions", "/v1/chat/completions"), ("/models", "/v1/models")],
)
def test_a_wrong_base_url_is_answered_with_the_path_that_was_meant(server: Any, path: str, meant: str) -> None:
    assert f"Did you mean {meant}?" in server.ask("POST", path, {}).json["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("problem", [ValueError, MemoryError, AssertionError])
def test_a_failure_tells_neither_caller_nor_log_what_was_written(
    start: Any, caplog: pytest.LogCaptureFixture, problem: type[Exception], stream: bool
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = start(FailingChat(problem)).message(SECRET, stream=stream)
    assert told.status == (200 if stream else 500)
    assert "api_error" in told.text
    assert SECRET not in told.text
    assert SECRET not in caplog.text
    assert problem.__name__ in caplog.text
    assert told.headers["request-id"] in caplog.text


@pytest.mark.parametrize("problem", [RequestError, DataError])
def test_what_the_model_refuses_is_a_bad_request_in_its_words(start: Any, problem: type[Exception]) -> None:
    told = start(FailingChat(problem)).message("roles must alternate")
    assert (told.status, told.json["error"]["message"]) == (400, "roles must alternate")


class UncountableChat(ScriptedChat):
    """Its template refuses every conversation."""

    def count_tokens(self, prompt: Prompt) -> int:
        raise DataError("the model's chat template refuses this conversation")


def test_a_refusal_of_the_template_ends_a_stream_before_it_begins(start: Any) -> None:
    server = start(UncountableChat([""]), ServingSettings(max_queue=1))
    for _ in range(4):  # and leaves no place in the queue taken
        assert server.message(stream=True).status == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"model":' * 50_000,
        b'{"model": "poet", "messages": "Hello", "max_tokens": 5}',
        b'{"model": "poet", "messages": [], "max_tokens": 5}',
        b'{"model": "poet", "messages": [{"role": "user"}], "max_tokens": 5}',
        b'{"model": "poet", "messages": [{"role": "king", "content": "Hi"}], "max_tokens": 5}',
        b'{"model": "poet", "messages": [{"role": "assistant", "content": "Hi"}], "max_tokens": 5}',
        b'{"model": "poet", "messages": [{"role": "user", "content": [{"type": "smell"}]}], "max_tokens": 5}',
        b'{"model": "poet", "messages": [{"role": "user", "content": "\\ud800"}], "max_tokens": 5}',
        b'{"model": 5, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused_in_words(server: Any, path: str, body: bytes) -> None:
    told = server.ask("POST", path, body)
    assert told.status == 400
    assert told.json["error"]["type"] == "invalid_request_error"
    assert 5 < len(told.json["error"]["message"]) < 2000


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": "5"},
        {"max_tokens": -1},
        {"max_tokens": True},
        {"max_tokens": 1e300},
        {"temperature": float("nan")},
        {"temperature": -0.1},
        {"top_p": 1.5},
        {"stream": "yes"},
        {"tools": [{}]},
        {"tools": "weather"},
    ],
)
def test_a_setting_of_a_wrong_kind_is_named(server: Any, wrong: dict[str, Any]) -> None:
    for told in (server.message(**wrong), server.complete(**wrong)):
        assert told.status == 400
        assert told.json["error"]["message"].startswith(f"{next(iter(wrong))}")


def test_fields_of_newer_clients_are_ignored(server: Any) -> None:
    more = {"gravity": 9.81, "metadata": {"user_id": "a"}, "service_tier": "auto", "thinking": {"type": "disabled"}}
    assert server.message(**more).status == server.complete(**more).status == 200


def test_a_request_that_does_not_arrive_in_time_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
        slow.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_more_than_32_mb_are_refused(server: Any) -> None:
    told = server.ask("POST", "/v1/chat/completions", b" " * (32 * 1024 * 1024 + 1))
    assert (told.status, told.json["error"]["type"]) == (413, "invalid_request_error")


def test_what_is_no_http_at_all_leaves_the_server_standing(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b" 400 " in wire.recv(1000)
    assert server.ask("GET", "/health").status == 200


# Keys and neighbours -----------------------------------------------------------------------------


def test_with_keys_only_health_is_open(guarded: tuple[Any, str]) -> None:
    server, _ = guarded
    assert server.ask("GET", "/health").status == 200
    for method, path in (
        ("GET", "/v1/models"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/x"),
    ):
        assert server.ask(method, path).status == 401


def test_both_ways_to_show_a_key_are_understood(guarded: tuple[Any, str]) -> None:
    server, key = guarded
    assert server.ask("GET", "/v1/models", x_api_key=key).status == 200
    assert server.ask("GET", "/v1/models", authorization=f"Bearer {key}").status == 200
    assert server.ask("GET", "/v1/models", authorization=f"bearer  {key}").status == 200
    assert server.ask("GET", "/v1/models", authorization=f"Basic {key}").status == 401


def test_of_two_keys_the_one_in_x_api_key_counts(guarded: tuple[Any, str]) -> None:
    server, key = guarded
    assert server.ask("GET", "/v1/models", x_api_key=key, authorization="Bearer wrong").status == 200
    assert server.ask("GET", "/v1/models", x_api_key="wrong", authorization=f"Bearer {key}").status == 401


def test_a_missing_key_is_told_from_a_wrong_one(guarded: tuple[Any, str]) -> None:
    server, _ = guarded
    assert "is needed" in server.message().json["error"]["message"]
    wrong = server.ask("POST", "/v1/messages", {}, x_api_key="sk-wrong").json["error"]
    assert (wrong["type"], "not known" in wrong["message"]) == ("authentication_error", True)


def test_without_keys_any_key_is_accepted_on_this_machine(server: Any) -> None:
    assert server.ask("GET", "/v1/models", x_api_key="whatever").status == 200


@pytest.mark.parametrize("header", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_without_keys_web_pages_of_others_are_turned_away(server: Any, header: dict[str, str]) -> None:
    assert server.ask("GET", "/v1/models", **header).status == 403


@pytest.mark.parametrize(
    "header", [{"host": "localhost:8080"}, {"host": "[::1]:80"}, {"origin": "http://127.0.0.1:3000"}]
)
def test_without_keys_pages_of_this_machine_are_let_in(server: Any, header: dict[str, str]) -> None:
    assert server.ask("GET", "/v1/models", **header).status == 200


def test_with_keys_any_host_name_will_do(guarded: tuple[Any, str]) -> None:
    server, key = guarded
    assert server.ask("GET", "/v1/models", host="models.example", x_api_key=key).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "", "models.example"])
def test_a_server_that_others_reach_does_not_start_without_keys(host: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="key add NAME"):
        create_app([], ServingSettings(host=host), Keys())


def test_answers_tell_neither_the_server_nor_other_origins_anything(server: Any) -> None:
    told = server.message()
    assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(told.headers)


def test_a_stream_is_neither_kept_nor_held_back_on_its_way(server: Any) -> None:
    for told in (server.message(stream=True), server.complete(stream=True)):
        assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (told.headers["cache-control"], told.headers["x-accel-buffering"]) == ("no-cache", "no")
        assert told.headers["request-id"].startswith("req_")


def test_every_answer_has_an_id_of_its_own(server: Any) -> None:
    told = [server.message() for _ in range(3)]
    assert len({each.headers["request-id"] for each in told}) == len({each.json["id"] for each in told}) == 3


# Limits ------------------------------------------------------------------------------------------


class ListeningChat(ScriptedChat):
    """Remembers the options."""

    def __init__(self) -> None:
        super().__init__(["Hello there"])
        self.options: list[Options] = []

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        raise NotImplementedError

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        self.options.append(options)
        return super().stream(prompt, options)


def test_no_answer_is_longer_than_the_server_allows_and_a_cut_one_says_so(start: Any) -> None:
    server = start(ScriptedChat(["one two three four"]), ServingSettings(max_answer_tokens=2))
    told = server.message(max_tokens=64_000).json
    assert (told["content"][0]["text"], told["stop_reason"]) == ("one two", "max_tokens")
    assert server.complete().json["choices"][0]["finish_reason"] == "length"


def test_a_request_that_does_not_say_how_freely_to_draw_gets_the_servers_temperature(start: Any) -> None:
    chat = ListeningChat()
    server = start(chat, ServingSettings(temperature=0.7))
    server.message()
    server.complete(temperature=0)
    assert [options.temperature for options in chat.options] == [0.7, 0.0]


def test_requests_without_a_seed_get_different_ones(start: Any) -> None:
    chat = ListeningChat()
    server = start(chat)
    server.message()
    server.complete()
    server.complete(seed=-1, n=2)
    drawn, other, *named = [options.seed for options in chat.options]
    assert drawn != other
    assert named == [2**63 - 1, 0]


def test_the_longest_prompt_leaves_room_for_one_token(start: Any) -> None:
    server = start(ScriptedChat(["Hi"]), context=4)
    assert server.message("one two three").status == 200
    told = server.message("one two three four", stream=True)
    assert (told.status, told.json["error"]["message"]) == (400, "prompt is too long: 4 tokens > 3 maximum")
