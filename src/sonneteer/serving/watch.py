"""Who watches the server: the recorder, the figures, the spans, the deployments, and whoever else wants to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sonneteer.errors import RequestError
from sonneteer.records import Exchange, Feedback, Key
from sonneteer.serving.feedback import FeedbackRequest
from sonneteer.serving.live import Live
from sonneteer.serving.metrics import Metrics
from sonneteer.serving.recorder import Recorder
from sonneteer.serving.tracing import Tracer
from sonneteer.serving.traffic import Visit

WRITERS = 2  # threads that mask exchanges, so that a long one holds nobody else up


class Watch:
    """Tells each watcher what it wants to know. All of them may be absent."""

    def __init__(
        self,
        recorder: Recorder | None = None,
        tracer: Tracer | None = None,
        live: Live | None = None,
        also: Sequence[Callable[[Exchange], None]] = (),
    ) -> None:
        """`also` is told of every exchange, those that are not written down included."""
        self.live = live
        self.metrics = Metrics(recorder)
        self.waiting, self.begun, self.over = self.metrics.waiting, self.metrics.begun, self.metrics.over
        self._recorder = recorder
        self._tracer = tracer
        self._also = also
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="writer")

    async def told(self, exchange: Exchange, visit: Visit) -> None:
        """An answer is whole, or has failed."""
        self.metrics.note(exchange)
        if self._tracer:
            self._tracer.note(exchange, visit.traceparent)
        for tell in self._also:
            tell(exchange)
        await self.write(exchange, visit)

    async def write(self, exchange: Exchange, visit: Visit) -> None:
        """Write it down if recipe and client want that, or replace what was written under its id."""
        if self._recorder and visit.is_recordable and self._recorder.is_wanted(exchange.conversation):
            noting = self._writers.submit(self._recorder.note, exchange)
            await asyncio.shield(asyncio.wrap_future(noting))  # a client that hangs up now is written down all the same

    async def compared(self, exchange: Exchange, visit: Visit) -> None:
        """The candidate has answered in the shadow: the exchange, which was told before, now holds both answers."""
        for tell in self._also:
            tell(exchange)
        await self.write(exchange, visit)

    def say(self, request: FeedbackRequest, key: Key | None = None) -> Feedback:
        """Keep what somebody says of an answer, and by which key. Raises RequestError where no answers are kept."""
        if self._recorder is None:
            raise RequestError("This server writes no exchanges down, so nothing can be said of them.")
        feedback = self._recorder.say(request, key.digest if key else "")
        self.metrics.note_feedback(feedback)
        return feedback

    def close(self) -> None:
        """Let each of them finish."""
        self._writers.shutdown()
        for watcher in (self.live, self._recorder, self._tracer):
            if watcher is not None:
                with suppress(OSError):  # a collector that has gone must not keep the server from stopping
                    watcher.close()
