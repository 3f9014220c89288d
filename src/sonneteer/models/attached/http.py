"""Requests to a server: JSON there, JSON or a stream of events back. Whoever waits for a stream can let it go."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sonneteer.errors import BusyError, MissingError, RequestError

Body = dict[str, Any]
SECONDS = 30.0  # for short questions
STREAM_SECONDS = 3600.0  # the gateway has its own limit, and lets the stream go
MISSING = 404


class Address(NamedTuple):
    """Where a server listens, and the key that it wants."""

    url: str
    key: str = ""

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        """A new connection. Never through a proxy."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=seconds)

    def path(self, path: str) -> str:
        """The path on that server."""
        return urlsplit(self.url).path.rstrip("/").removesuffix("/v1") + path

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request brings."""
        bearer = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return {"content-type": "application/json", **bearer}


def told(address: Address, path: str, body: Body | None = None, seconds: float = SECONDS) -> Any:
    """The server's reply: its JSON, or its text. Raises as `Stream` does."""
    with closing(address.connection(seconds)) as connection:
        response = _asked(connection, address, path, body)
        raw = response.read()
    with suppress(ValueError):
        return json.loads(raw)
    return raw.decode("utf-8", "replace")


class Stream:
    """A request whose reply is server-sent events.

    Raises RequestError where the server refuses, MissingError for what it does not have, and BusyError where it is
    busy or has gone.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = address.connection(STREAM_SECONDS)
        self._is_left = False

    def events(self, path: str, body: Body) -> Iterator[Body]:
        """The events' JSON."""
        with closing(self._connection):
            try:
                response = _asked(self._connection, self._address, path, body)
                for line in _lines(response):
                    if self._is_left:
                        return
                    if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                        yield json.loads(line[5:])
            except (OSError, http.client.HTTPException) as problem:
                if not self._is_left:
                    raise _gone(self._address, problem) from problem

    def leave(self) -> None:
        """Nobody waits any more. From any thread; the server sees a closed connection."""
        self._is_left = True
        if self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)


def _asked(
    connection: http.client.HTTPConnection, address: Address, path: str, body: Body | None
) -> http.client.HTTPResponse:
    try:
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        connection.request(method, address.path(path), data, dict(address.headers))
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as problem:
        raise _gone(address, problem) from problem
    if response.status < 300:
        return response
    says = _message(response.read(2000))
    if response.status == MISSING:
        raise MissingError(says)
    if response.status in (400, 413, 422):
        raise RequestError(says)
    raise BusyError(f"{address.url} answers {path} with status {response.status}: {says}")


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Lines as they come."""
    left = b""
    while piece := response.read1(1 << 16):
        *whole, left = (left + piece).split(b"\n")
        yield from whole


def _message(raw: bytes) -> str:
    """The words in an error's body, whatever its shape."""
    with suppress(ValueError, AttributeError):
        body = json.loads(raw)
        inner = body.get("error", body)
        return str(inner.get("message") or inner.get("detail") or inner) if isinstance(inner, dict) else str(inner)
    return raw.decode("utf-8", "replace")[:500]


def _gone(address: Address, problem: Exception) -> BusyError:
    return BusyError(f"The engine at {address.url} does not answer ({problem or type(problem).__name__}).")
