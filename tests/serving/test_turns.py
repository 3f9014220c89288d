from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from sonneteer.chat import Answer, Options, Piece
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Prompt
from sonneteer.serving import events

Eventually = Callable[[Callable[[], bool]], bool]


class SlowChat:
    """Says a word every fiftieth of a second, and remembers what happened to it."""

    def __init__(self, words: int = 1000) -> None:
        self.words = words
        self.begun: list[str] = []
        self.closed: list[str] = []
        self.working = 0
        self.most_working = 0

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        raise NotImplementedError

    def count_tokens(self, prompt: Prompt) -> int:
        return 1

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        name = prompt.messages[-1].text
        self.begun.append(name)
        self.working += 1
        self.most_working = max(self.most_working, self.working)
        try:
            for _ in range(self.words):
                time.sleep(0.02)
                yield Piece("word ")
            text = "word " * self.words
            yield Piece("", Answer(text=text, stop_reason="end", prompt_tokens=1, answer_tokens=self.words))
        finally:
            self.working -= 1
            self.closed.append(name)


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "poet", "max_tokens": 5000, "messages": [{"role": "user", "content": text}]} | more


PATHS = ["/v1/messages", "/v1/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_work(start: Any, eventually: Eventually, path: str, stream: bool) -> None:
    chat = SlowChat()
    with start(chat).send(path, body("long", stream=stream)):
        assert eventually(lambda: chat.begun == ["long"])
    assert eventually(lambda: chat.closed == ["long"])


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_while_waiting_never_reaches_the_model(start: Any, eventually: Eventually, stream: bool) -> None:
    chat = SlowChat(words=20)
    server = start(chat, ServingSettings(max_queue=1))
    with server.send(PATHS[0], body("first")):
        assert eventually(lambda: chat.begun == ["first"])
        with server.send(PATHS[0], body("waiting", stream=stream)):
            assert eventually(lambda: server.message("tells whether the queue is full").status == 529)
        # The place of the one who left is free again, so the last one is let in.
        assert eventually(lambda: server.message("last").status == 200)
    assert "waiting" not in chat.begun


def test_one_request_is_answered_at_a_time(start: Any, eventually: Eventually) -> None:
    chat = SlowChat(words=3)
    server = start(chat)
    threads = [threading.Thread(target=server.message, args=(f"{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: len(chat.closed) == 5)  # the last one is closed after its answer has arrived
    assert chat.most_working == 1


def test_one_more_than_may_wait_is_told_to_come_back(start: Any, eventually: Eventually) -> None:
    server = start(SlowChat(), ServingSettings(max_queue=2))
    with ExitStack() as inside:
        for name in ("a", "b", "c"):
            inside.enter_context(server.open("POST", PATHS[0], body(name, stream=True)))
        anthropic, openai = server.message("d"), server.complete("d", stream=True)
    assert (anthropic.status, anthropic.json["error"]["type"]) == (529, "overloaded_error")
    assert (openai.status, openai.json["error"]["code"]) == (503, "overloaded")
    assert eventually(lambda: server.message("e", max_tokens=0).status == 200)


def test_tokens_are_counted_and_health_is_told_while_the_model_works(start: Any, eventually: Eventually) -> None:
    chat = SlowChat()
    server = start(chat)
    with server.send(PATHS[0], body("long")):
        assert eventually(lambda: chat.begun == ["long"])
        counted = server.ask("POST", "/v1/messages/count_tokens", body("short"))
        assert (counted.json, server.ask("GET", "/health").status) == ({"input_tokens": 1}, 200)
        assert chat.closed == []
    assert eventually(lambda: chat.closed == ["long"])


def test_a_client_that_does_not_read_holds_nobody_up(start: Any) -> None:
    server = start(WordyChat())
    with server.send(PATHS[0], body("never read", stream=True)):
        assert server.message("short").status == 200


class WordyChat(SlowChat):
    """Says more than the buffers of a connection hold."""

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        for _ in range(300):
            yield Piece("word " * 10_000)
        yield Piece("", Answer(text="", stop_reason="end", prompt_tokens=1, answer_tokens=1))


@pytest.mark.parametrize(("path", "ping"), [(PATHS[0], b"event: ping\n"), (PATHS[1], b": ping\n")])
def test_a_silent_stream_is_kept_open(start: Any, monkeypatch: pytest.MonkeyPatch, path: str, ping: bytes) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.005)
    chat = SlowChat(words=3)
    with start(chat).open("POST", path, body("slow", stream=True)) as response:
        lines = response.read().splitlines(keepends=True)
    assert lines.count(ping) > 3


def test_an_answer_of_no_tokens_leaves_the_model_alone(start: Any) -> None:
    chat = SlowChat()
    server = start(chat)
    whole, streamed = server.message(max_tokens=0), server.message(max_tokens=0, stream=True)
    assert (whole.json["content"], whole.json["stop_reason"]) == ([], "max_tokens")
    assert [event["type"] for event in streamed.events][-2:] == ["message_delta", "message_stop"]
    assert chat.begun == []


@pytest.mark.parametrize("stream", [True, False])
def test_who_still_waits_when_the_server_stops_is_told_so(start: Any, eventually: Eventually, stream: bool) -> None:
    chat = SlowChat()
    server = start(chat, ServingSettings(stop_seconds=0))
    with server.send(PATHS[0], body("first")) as first:
        assert eventually(lambda: chat.begun == ["first"])
        with server.send(PATHS[0], body("waiting", stream=stream)) as waiting:
            time.sleep(0.1)  # the request is on its way
            server.stop()
            told = [b"".join(iter(lambda wire=wire: wire.recv(4096), b"")) for wire in (first, waiting)]
    assert [text.count(b"the server is stopping") for text in told] == [1, 1]
    assert chat.begun == ["first"]


def test_an_answer_without_an_end_is_a_failure_and_the_next_one_is_served(start: Any) -> None:
    server = start(EndlessChat())
    assert server.message().status == 500
    assert server.message().status == 500


class EndlessChat(SlowChat):
    """Forgets to say that it has finished."""

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        return iter([Piece("word")])
