"""A real server on a free port, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, NamedTuple

import pytest

from sonneteer.chat import Chat
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Around, Keys, ServedModel, Watch, create_app
from sonneteer.serving.listen import open_port, server
from sonneteer.store import Shelf


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of a stream's events, `[DONE]` left out."""
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


class Server(NamedTuple):
    """A running server."""

    port: int
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self, method: str, path: str, body: Any = None, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """The answer, not read yet; leaving hangs up."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, raw, {name.replace("_", "-"): value for name, value in headers.items()})
            with connection.getresponse() as response:
                yield response

    @contextmanager
    def send(self, path: str, body: Any) -> Iterator[socket.socket]:
        """A connection on which a request was sent, whatever comes back; leaving hangs up."""
        raw = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as wire:
            wire.sendall(head.encode() + raw)
            yield wire

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        with self.open(method, path, body, **headers) as response:
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read().decode())

    def message(self, text: str = "Hello", **more: Any) -> Reply:
        body = {"model": "poet", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
        return self.ask("POST", "/v1/messages", body | more)

    def complete(self, text: str = "Hello", **more: Any) -> Reply:
        body = {"model": "poet", "messages": [{"role": "user", "content": text}]}
        return self.ask("POST", "/v1/chat/completions", body | more)


Start = Callable[..., Server]
BORN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts servers: `start(chat)`, or `start(base=chat, tuned=chat)`; all of them end with the module's tests."""
    running: list[tuple[Any, threading.Thread]] = []

    def begin(
        chat: Chat | None = None,
        settings: ServingSettings | None = None,
        keys: Keys | None = None,
        context: int | None = None,
        watch: Watch | None = None,
        others: Any = None,
        shelf: Shelf | None = None,
        **chats: Chat,
    ) -> Server:
        named = chats or {"poet": chat}
        models = [ServedModel(name, each, BORN, context) for name, each in named.items() if each is not None]
        app = create_app(models, settings or ServingSettings(), keys or Keys(), Random(7), Around(watch, others, shelf))
        listener = open_port("127.0.0.1", 0)
        web = server(app, settings or ServingSettings())
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((web, thread))
        return Server(listener.getsockname()[1], partial(setattr, web, "should_exit", True))

    yield begin
    for web, _ in running:
        web.should_exit = True
    for _, thread in running:
        thread.join(timeout=10)
        assert not thread.is_alive()


def eventually(claim: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the claim becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if claim():
            return True
        time.sleep(0.01)
    return claim()


@pytest.fixture(name="eventually")
def _eventually() -> Callable[[Callable[[], bool]], bool]:
    return eventually
