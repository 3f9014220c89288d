"""Streams of events, and the end of all work for a client that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sonneteer.serving.refusals import OVERLOADED, Refusal, refusal_of
from sonneteer.serving.turns import STOPPING, Turn
from sonneteer.serving.wire import Dialect

T = TypeVar("T")
PING_SECONDS = 10.0


class EventStream(Response):
    """Server-sent events. The model goes on at its own pace, however slowly the client reads, unless it has gone."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], turn: Turn, dialect: Dialect, request_id: str) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._turn = turn
        self._dialect = dialect
        self._request_id = request_id
        self._is_begun = False
        self._is_silent = True
        self._ready: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client goes."""
        tasks = [
            asyncio.create_task(work) for work in (self._send(send), until_gone(receive), self._produce(), self._ping())
        ]
        try:
            done, _ = await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:  # the server is being stopped
            if self._is_begun:
                await send({"type": "http.response.body", "body": self._error(Refusal(OVERLOADED, STOPPING))})
            raise
        finally:
            await _stopped(tasks)
            self._turn.leave()

    async def _produce(self) -> None:
        try:
            async with asyncio.timeout(self._turn.seconds), aclosing(self._events) as events:
                async for event in events:
                    self._ready.put_nowait(event)
                    self._is_silent = False
        except Exception as problem:  # the answer has begun, so the status can no longer tell
            self._ready.put_nowait(self._error(refusal_of(problem, self._request_id)))
        finally:
            self._turn.leave()
            self._ready.put_nowait(None)

    async def _send(self, send: Send) -> None:
        self._is_begun = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        events = [await self._ready.get()]
        while None not in events:
            await send({"type": "http.response.body", "body": b"".join(filter(None, events)), "more_body": True})
            events = [await self._ready.get()]
            while not self._ready.empty():
                events.append(self._ready.get_nowait())
        await send({"type": "http.response.body", "body": b"".join(filter(None, events))})

    async def _ping(self) -> None:
        """Break each silence before it is twice as long as that."""
        while True:
            self._is_silent = True
            await asyncio.sleep(PING_SECONDS)
            if self._is_silent:
                self._ready.put_nowait(self._dialect.ping)

    def _error(self, refusal: Refusal) -> bytes:
        return self._dialect.frame(self._dialect.error(refusal, self._request_id))


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The work's result. Raises ClientDisconnect, and stops the work, as soon as the client has gone.

    Raises TimeoutError if it takes longer.
    """
    working, going = asyncio.create_task(work), asyncio.create_task(until_gone(receive))
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        await _stopped([working, going])


async def until_gone(receive: Receive) -> None:
    """Returns when the client closes the connection. The request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stopped(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
