"""A local server that says over the real protocols of Anthropic and OpenAI what a test has scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Said(NamedTuple):
    """One response of the server."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Host(NamedTuple):
    """Where the server listens, and what it was asked."""

    url: str
    asked: list[dict[str, Any]]


Script = Callable[[dict[str, Any]], Said]


@contextmanager
def speaking(script: Script) -> Iterator[Host]:
    """A server that answers each request as the script says."""
    asked: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                asked.append({**request, "path": self.path})
                said = script(request)
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in (("content-type", "application/json"), *said.headers):
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Host(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_turn(*script: Said) -> Script:
    """One response after the other; the last one again and again."""
    waiting = list(script)
    return lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def claude(text: str, stop_reason: str = "end_turn") -> Said:
    """A message as Anthropic's API sends it."""
    return Said(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": 50},
        }
    )


def gpt(text: str | None, finish_reason: str = "stop", refusal: str | None = None) -> Said:
    """A completion as OpenAI's API sends it."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    return Said({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def busy(status: int) -> Said:
    """Too many requests, or too many of all users: ask again in a hundredth of a second."""
    kind = "rate_limit_error" if status == 429 else "overloaded_error"
    return Said({"type": "error", "error": {"type": kind, "message": "busy"}}, status, (("retry-after", "0.01"),))
