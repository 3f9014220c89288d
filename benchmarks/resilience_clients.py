"""Clients of all kinds: patient, impatient, slow, wrong and malicious. Each counts what came back."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PATIENCE_SECONDS = 90.0
KINDS = {
    "message": 30,
    "completion": 20,
    "stream": 20,
    "feedback": 6,
    "hang up": 10,
    "malformed": 8,
    "slow": 4,
    "oversized": 1,
    "no HTTP": 1,
}
"""What clients do, and how often."""
ERROR_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error types, by status."""
MALFORMED: list[tuple[str, str, bytes]] = [
    ("POST", "/v1/messages", b'{"model": '),
    ("POST", "/v1/messages", b"[]"),
    ("POST", "/v1/messages", b'{"model": "bench", "max_tokens": "many", "messages": []}'),
    ("POST", "/v1/messages", b'{"model": "bench", "max_tokens": 5, "messages": [{"role": "user", "content": "\xff"}]}'),
    ("POST", "/v1/messages", b'{"model": "nobody", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}'),
    ("POST", "/v1/chat/completions", b'{"model": "bench"}'),
    ("POST", "/v1/chat/completions", b'{"model": "bench", "messages": [{"role": "pope", "content": "Hi"}]}'),
    ("POST", "/v1/chat/completions", b'{"model": "bench", "messages": "Hi"}'),
    ("POST", "/v1/feedback", b'{"message_id": "msg_unknown", "liked": true}'),
    ("GET", "/v1/message", b""),
    ("DELETE", "/v1/chat/completions", b""),
]
WORDS = ["when", "will", "my", "parcel", "with", "the", "red", "lamp", "and", "two", "old", "books", "be", "sent", "?"]


class Reply(NamedTuple):
    """What came back before the connection ended."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of a stream's events."""
        lines = [line.strip()[6:] for line in self.body.split(b"\n") if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines if line.endswith(b"}")]


@dataclass
class Seen:
    """What all clients have seen."""

    counts: Counter[str] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    """Ids of exchanges of which a client has the whole answer."""
    said: list[str] = field(default_factory=list)
    """Ids of feedback of which a client was told that it is kept."""
    misshapen: list[str] = field(default_factory=list)
    """Replies that are not as they should be."""


class Client:
    """One of many. Asks again and again until told to stop."""

    def __init__(self, port: int, seen: Seen, seed: int) -> None:
        self._port = port
        self._seen = seen
        self._rng = random.Random(seed)

    async def work(self, is_over: asyncio.Event) -> None:
        """Until it is over."""
        while not is_over.is_set():
            kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
            self._seen.counts[f"asked: {kind}"] += 1
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._ask(kind)
                await asyncio.sleep(self._rng.random() / 2)
            except TimeoutError:
                self._seen.misshapen.append(f"{kind}: no reply within {PATIENCE_SECONDS:.0f} seconds")
            except (OSError, EOFError):  # refused or cut off: the server is being killed, or not there yet
                self._seen.counts["not reached"] += 1
                await asyncio.sleep(1)

    async def _ask(self, kind: str) -> None:
        if kind in ("malformed", "oversized", "no HTTP", "slow", "hang up"):
            await getattr(self, f"_{kind.replace(' ', '_')}")()
        elif kind == "feedback":
            await self._say()
        else:
            path = "/v1/chat/completions" if kind == "completion" else "/v1/messages"
            reply = await self._reply(request("POST", path, self._question(is_stream=kind == "stream")))
            self._note(kind, path, reply)

    def _question(self, is_stream: bool = False) -> bytes:
        text = " ".join(self._rng.choices(WORDS, k=self._rng.randint(3, 60)))
        body = {"model": "bench", "max_tokens": self._rng.randint(1, 24), "stream": is_stream}
        return json.dumps(body | {"messages": [{"role": "user", "content": text}]}).encode()

    async def _reply(self, raw: bytes) -> Reply:
        async with connected(self._port) as (reader, writer):
            writer.write(raw)
            await writer.drain()
            return read_reply(await reader.read())

    def _note(self, kind: str, path: str, reply: Reply) -> None:
        if reply.status != 200:
            self._note_error(kind, path, reply)
        elif kind == "stream":
            self._note_stream(reply)
        else:
            try:
                id = json.loads(reply.body)["id"]
            except ValueError:  # the server was killed while it sent
                raise EOFError from None
            self._acknowledge(id)

    def _note_stream(self, reply: Reply) -> None:
        events = reply.events
        last = events[-1]["type"] if events else "nothing"
        if last == "error":
            self._seen.counts["error within a stream"] += 1
            if events[-1]["error"]["type"] not in ERROR_TYPES.values():
                self._seen.misshapen.append(f"stream: {events[-1]}")
        elif last == "message_stop":
            self._acknowledge(events[0]["message"]["id"])
        else:
            raise EOFError

    def _acknowledge(self, id: str) -> None:
        self._seen.counts["answered"] += 1
        self._seen.answered.append(id.removeprefix("msg_").removeprefix("chatcmpl-"))

    def _note_error(self, kind: str, path: str, reply: Reply) -> None:
        self._seen.counts[f"error {reply.status}"] += 1
        if not is_documented(path, reply):
            self._seen.misshapen.append(f"{kind} {path}: {reply.status} {reply.body[:200]!r}")

    async def _say(self) -> None:
        """Of an answer that somebody got lately."""
        if self._seen.answered:
            id = self._rng.choice(self._seen.answered[-50:])
            body = {"message_id": f"msg_{id}", "liked": self._rng.random() < 0.5}
            reply = await self._reply(request("POST", "/v1/feedback", json.dumps(body).encode()))
            if reply.status == 200:
                self._seen.counts["feedback kept"] += 1
                self._seen.said.append(json.loads(reply.body)["id"].removeprefix("fb_"))
            else:
                self._note_error("feedback", "/v1/feedback", reply)

    async def _hang_up(self) -> None:
        """At any time before the end."""
        raw = request("POST", "/v1/messages", self._question(is_stream=self._rng.random() < 0.7))
        async with connected(self._port) as (reader, writer):
            writer.write(raw[: self._rng.randint(1, len(raw))] if self._rng.random() < 0.3 else raw)
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(100), self._rng.random())

    async def _slow(self) -> None:
        """A few bytes at a time; every second one stops in the middle and hangs up later."""
        raw, is_whole = request("POST", "/v1/messages", self._question()), self._rng.random() < 0.5
        step = len(raw) // 12 + 1
        async with connected(self._port) as (reader, writer):
            for start in range(0, len(raw) if is_whole else len(raw) // 2, step):
                writer.write(raw[start : start + step])
                await writer.drain()
                await asyncio.sleep(self._rng.random() / 2)
            if is_whole:
                self._note("slow", "/v1/messages", read_reply(await reader.read()))

    async def _malformed(self) -> None:
        method, path, body = self._rng.choice(MALFORMED)
        reply = await self._reply(request(method, path, body))
        if reply.status < 400:
            self._seen.misshapen.append(f"malformed {path} {body!r}: {reply.status}")
        self._note_error("malformed", path, reply)

    async def _oversized(self) -> None:
        reply = await self._reply(request("POST", "/v1/messages", b"x" * (33 * 1024**2)))
        self._note_error("oversized", "/v1/messages", reply)

    async def _no_HTTP(self) -> None:
        """No dialect to answer in: a plain refusal."""
        reply = await self._reply(bytes(self._rng.choices(range(1, 256), k=200)) + b"\r\n\r\n")
        self._seen.counts[f"error {reply.status}, no HTTP"] += 1
        if reply.status != 400:
            self._seen.misshapen.append(f"no HTTP: {reply.status}")


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is given back whatever happens, even to a server that was killed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(method: str, path: str, body: bytes) -> bytes:
    """An HTTP request that wants the connection closed afterwards."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


def read_reply(raw: bytes) -> Reply:
    """What a server has sent. Raises EOFError where the head is not whole."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        raise EOFError
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if len(body) < int(headers.get("content-length", 0)):
        raise EOFError
    return Reply(int(first.split()[1]), headers, body)


def is_documented(path: str, reply: Reply) -> bool:
    """Whether an error is as the API's documentation has it: body, type, the request's id, and when to come back."""
    try:
        error = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError):
        return False
    if path == "/v1/messages":
        is_shaped = error["type"] == ERROR_TYPES.get(reply.status)
    else:
        is_shaped = set(error) == {"message", "type", "param", "code"}
    says_when = reply.status not in (429, 503, 529) or "retry-after" in reply.headers
    return bool(is_shaped and says_when and error["message"] and "request-id" in reply.headers)
