"""Batches at work behind the live traffic: a few requests at a time, while there is room, one of each batch in turn."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from sonneteer.errors import BusyError, SonneteerError
from sonneteer.records import Batch
from sonneteer.serving.answering import Answering, Caller
from sonneteer.serving.apis import APIS
from sonneteer.serving.batch_job import Item, Job, Result
from sonneteer.serving.batch_output import output_files
from sonneteer.serving.keys import Keys
from sonneteer.serving.refusals import OVERLOADED, Refusal, in_words, refusal_of
from sonneteer.serving.traffic import RECORD
from sonneteer.serving.turns import GaveWay
from sonneteer.serving.wire import parsed
from sonneteer.store import Shelf

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""Time between two looks at what clients have created and canceled, perhaps through another server."""
PAUSE_SECONDS = 0.2
"""What has given way is tried again after this time."""
FORGET_SECONDS = 600.0


class BatchWork:
    """Answers the batches of one model. Of several servers on one workspace, one at a time does."""

    def __init__(self, shelf: Shelf, answering: Answering, keys: Keys) -> None:
        self.name = next(iter(answering.lineup.models))
        self._shelf = shelf
        self._answering = answering
        self._keys = keys
        self._jobs: dict[str, Job] = {}
        self._news = asyncio.Condition()
        self._told: dict[str, str] = {}
        """What went wrong last, by what was tried; nothing where it went well since."""

    async def run(self) -> None:
        """Work until canceled."""
        while True:
            try:
                with self._shelf.writing(f"batches-{self.name}", 0):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._keep_looking())
                        for _ in range(self._answering.settings.batch_streams):
                            group.create_task(self._answer_on())
            except BusyError:  # another server works on them
                pass
            except ExceptionGroup as problems:
                self._tell("working", *problems.exceptions)
            except Exception as problem:
                self._tell("working", problem)
            await asyncio.sleep(LOOK_SECONDS)

    # What there is to do ------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        self._jobs, forget_at = {}, loop.time()
        while True:
            try:
                await self._look()
                if loop.time() >= forget_at:
                    keep = timedelta(days=self._answering.settings.batch_days)
                    await asyncio.to_thread(self._shelf.forget, _now(), keep)
                    forget_at = loop.time() + FORGET_SECONDS
                self._told.pop("looking", None)
            except (SonneteerError, OSError) as problem:
                self._tell("looking", problem)
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        """Open what is new, hear of what was canceled, write down how far each is, and end what is done."""
        found = await asyncio.to_thread(self._shelf.find, Batch, name=self.name, state="open")
        self._jobs = {batch.id: self._jobs[batch.id] for batch in found if batch.id in self._jobs}
        for batch in reversed(found):
            job = await self._job(batch)
            if self._is_revoked(batch):
                job.batch = await asyncio.to_thread(self._change, batch, cancel_initiated_at=_now())
            self._jobs[batch.id] = job
            if job.is_over(_now()):
                del self._jobs[batch.id]  # first, or somebody could look for its next request while it ends
                await asyncio.to_thread(self._end, job)
            elif any(count != getattr(batch, kind) for kind, count in job.counts.items()):
                job.batch = await asyncio.to_thread(self._change, batch, **job.counts)

    async def _job(self, batch: Batch) -> Job:
        if batch.id not in self._jobs:
            return await asyncio.to_thread(Job, self._shelf, batch)
        job = self._jobs[batch.id]
        job.batch = batch
        return job

    def _is_revoked(self, batch: Batch) -> bool:
        """A key that was revoked asks for nothing any more."""
        return bool(batch.owner) and not batch.cancel_initiated_at and self._keys.named(batch.owner) is None

    def _end(self, job: Job) -> None:
        job.end("canceled" if job.batch.cancel_initiated_at else "expired")
        results = self._shelf.path(job.batch.id, "results")
        files = output_files(self._shelf, job.batch) if job.batch.api == "openai" else {}
        size = 0 if files else results.stat().st_size
        self._change(job.batch, **job.counts, **files, size=size, ended_at=_now())
        self._shelf.drop_contents(job.batch, () if files else ("results",))

    def _change(self, batch: Batch, **update: Any) -> Batch:
        return self._shelf.change(batch.id, lambda told: told.model_copy(update=update))

    # Doing it -----------------------------------------------------------------------------------

    async def _answer_on(self) -> None:
        """One request after the other, each when there is room for it."""
        turns, most = self._answering.turns, self._answering.settings.batch_streams
        while True:
            await turns.until_room(most)
            job, item = self._next()
            if job is None or item is None:
                async with self._news:
                    await self._news.wait()
                continue
            job.running += 1
            try:
                result = await turns.behind(self._result(job.batch, item))
                await asyncio.to_thread(job.write, result)
                self._told.clear()
            except GaveWay:
                job.put_back(item)
                await asyncio.sleep(PAUSE_SECONDS)
            except OSError as problem:  # the disk is full, or away
                self._tell("writing", problem)
                job.put_back(item)
                await asyncio.sleep(LOOK_SECONDS)
            finally:
                job.running -= 1

    def _next(self) -> tuple[Job | None, Item | None]:
        """One request of the batch whose turn it is."""
        for id in tuple(self._jobs):
            job = self._jobs.pop(id)
            self._jobs[id] = job  # to the end of the line
            key = self._keys.named(job.batch.owner)
            if job.is_stopped(_now()) or (key and self._answering.meters.is_low(key)):
                continue
            item = job.next()
            if item is not None:
                return job, item
        return None, None

    async def _result(self, batch: Batch, item: Item) -> Result:
        api = APIS[batch.path]
        headers = {} if batch.is_recordable else {RECORD: "no"}
        try:
            wanted = parsed(item.body, api.request)
            if wanted.stream:
                raise Refusal(400, "stream: a batch's answers come as a whole; leave it out", field="stream")
            caller = Caller(headers, self._keys.named(batch.owner), is_live=False)
            return Result(item.custom_id, "succeeded", 200, await self._answering.whole(api, wanted, caller))
        except GaveWay:
            raise
        except Exception as problem:
            refusal = refusal_of(problem, batch.id)
            if refusal.status == OVERLOADED:
                raise GaveWay from problem
            return Result(item.custom_id, "errored", refusal.status, api.dialect.error(refusal, batch.id))

    def _tell(self, tried: str, *problems: Exception) -> None:
        """Once, however often it is tried again."""
        told = " ".join(dict.fromkeys(map(in_words, problems)))
        if told != self._told.get(tried):
            LOG.error("Batches wait. %s", told)
        self._told[tried] = told


def _now() -> datetime:
    return datetime.now(UTC)
