"""Answers of an engine as this room's event loop sees them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from functools import partial

from sonneteer.chat import Engine, Options, Piece, Source, Ticket


class Begun:
    """One answer that an engine is writing. Whoever has it must cancel it when nobody waits any more."""

    def __init__(self, ticket: Ticket, told: asyncio.Queue[Piece | Exception]) -> None:
        self._ticket = ticket
        self._told = told

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the model reads."""
        return self._ticket.prompt_tokens

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._ticket.cancel()

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer as it comes. Closing this stops the work."""
        try:
            while True:
                piece = await self._told.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.answer is not None:
                    return
        finally:
            self._ticket.cancel()


class Post:
    """Brings what engines tell into the event loop. What is told while the loop is at work needs no further waking."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: deque[tuple[asyncio.Queue[Piece | Exception], Piece | Exception]] = deque()
        self._is_awake = False

    def bring(self, queue: asyncio.Queue[Piece | Exception], piece: Piece | Exception) -> None:
        """Put it into the queue, from any thread."""
        self._told.append((queue, piece))
        if not self._is_awake and not self._loop.is_closed():
            self._is_awake = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        if not self._told:
            self._is_awake = False
        for _ in range(len(self._told)):
            queue, piece = self._told.popleft()
            queue.put_nowait(piece)
        if self._is_awake or self._told:  # the second: told by somebody who still saw the loop awake
            self._is_awake = True
            self._loop.call_soon(self._deliver)


async def begin(engine: Engine, source: Source, options: Options, readers: Executor, post: Post) -> Begun:
    """Begin an answer. The prompt is read into tokens by one of the readers, so that the loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Piece | Exception] = asyncio.Queue()
    future = loop.run_in_executor(readers, engine.begin, source, options, partial(post.bring, told))
    try:
        return Begun(await asyncio.shield(future), told)
    except asyncio.CancelledError:
        future.add_done_callback(_cancel)
        raise


def _cancel(future: asyncio.Future[Ticket]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().cancel()
