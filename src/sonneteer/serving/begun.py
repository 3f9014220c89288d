"""Answers of an engine as this room's event loop sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor

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


async def begin(engine: Engine, source: Source, options: Options, readers: Executor) -> Begun:
    """Begin an answer. The prompt is read into tokens by one of the readers, so that the loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Piece | Exception] = asyncio.Queue()
    future = loop.run_in_executor(readers, engine.begin, source, options, _teller(loop, told))
    try:
        return Begun(await asyncio.shield(future), told)
    except asyncio.CancelledError:
        future.add_done_callback(_cancel)
        raise


def _teller(
    loop: asyncio.AbstractEventLoop, told: asyncio.Queue[Piece | Exception]
) -> Callable[[Piece | Exception], None]:
    def tell(piece: Piece | Exception) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(told.put_nowait, piece)

    return tell


def _cancel(future: asyncio.Future[Ticket]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().cancel()
