"""The endpoints of batches and files. Each key sees its own; an admin's key sees all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from sonneteer.errors import MissingError
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Batch, LineProblem, StoredFile
from sonneteer.serving import anthropic_batches, openai_batches
from sonneteer.serving.apis import MESSAGES
from sonneteer.serving.listing import AnthropicPage, BatchPage, FilePage, after, around
from sonneteer.serving.porter import speaks_anthropic
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.traffic import is_recordable
from sonneteer.serving.upload import uploaded
from sonneteer.serving.wire import as_json, new_id, read, read_query, reply
from sonneteer.store import Shelf, write_private

MEGABYTE, GIGABYTE = 1024**2, 1024**3


class BatchEndpoints:
    """What is done for each path. `name` is the model whose server answers the batches."""

    def __init__(self, shelf: Shelf, name: str, settings: ServingSettings) -> None:
        self._shelf = shelf
        self._name = name
        self._settings = settings

    def add_to(self, app: Starlette) -> None:
        """Put them on their paths."""
        batches, one = f"{MESSAGES}/batches", f"{MESSAGES}/batches/{{id}}"
        app.add_route(batches, self.create_message_batch, methods=["POST"])
        app.add_route(batches, self.list_message_batches, methods=["GET"])
        app.add_route(one, self.retrieve_message_batch, methods=["GET"])
        app.add_route(one, self.delete_message_batch, methods=["DELETE"])
        app.add_route(f"{one}/cancel", self.cancel_message_batch, methods=["POST"])
        app.add_route(f"{one}/results", self.message_batch_results, methods=["GET"])
        app.add_route("/v1/batches", self.create_batch, methods=["POST"])
        app.add_route("/v1/batches", self.list_batches, methods=["GET"])
        app.add_route("/v1/batches/{id}", self.retrieve_batch, methods=["GET"])
        app.add_route("/v1/batches/{id}/cancel", self.cancel_batch, methods=["POST"])
        app.add_route("/v1/files", self.create_file, methods=["POST"])
        app.add_route("/v1/files", self.list_files, methods=["GET"])
        app.add_route("/v1/files/{id}", self.retrieve_file, methods=["GET"])
        app.add_route("/v1/files/{id}", self.delete_file, methods=["DELETE"])
        app.add_route("/v1/files/{id}/content", self.file_content, methods=["GET"])

    # Anthropic's --------------------------------------------------------------------------------

    async def create_message_batch(self, request: Request) -> Response:
        """Take a batch of messages."""
        wanted = await read(request, anthropic_batches.BatchRequest, self._settings.max_upload_mb * MEGABYTE)
        lines = [as_json({"custom_id": each.custom_id, "params": each.params}) + b"\n" for each in wanted.requests]
        batch = self._new_batch(request, "msgbatch_", api="anthropic", path=MESSAGES, requests=len(lines))
        await asyncio.to_thread(self._keep, batch.model_copy(update={"size": sum(map(len, lines))}), lines)
        return reply(anthropic_batches.batch(batch))

    async def list_message_batches(self, request: Request) -> Response:
        """A part of the list of batches, the newest first."""
        wanted, batches = read_query(request, AnthropicPage), await self._batches(request, "anthropic")
        told, has_more = around(batches, _ids(batches), wanted)
        body = {
            "data": [anthropic_batches.batch(batch) for batch in told],
            "has_more": has_more,
            "first_id": told[0].id if told else None,
            "last_id": told[-1].id if told else None,
        }
        return reply(body)

    async def retrieve_message_batch(self, request: Request) -> Response:
        """How far a batch is."""
        return reply(anthropic_batches.batch(await self._batch(request, "anthropic")))

    async def cancel_message_batch(self, request: Request) -> Response:
        """Ask nothing more of a batch."""
        return reply(anthropic_batches.batch(await self._cancel(request, "anthropic")))

    async def delete_message_batch(self, request: Request) -> Response:
        """Forget a batch that has ended, and its results."""
        batch = await self._batch(request, "anthropic")
        if batch.ended_at is None:
            raise Refusal(400, f"{batch.id} is still in progress. Cancel it first, and delete it when it has ended.")
        await asyncio.to_thread(self._shelf.delete, batch)
        return reply(anthropic_batches.deleted(batch))

    async def message_batch_results(self, request: Request) -> Response:
        """The results, one JSON document a line."""
        batch = await self._batch(request, "anthropic")
        if batch.ended_at is None:
            raise Refusal(400, f"{batch.id} is still in progress and has no results yet.")
        if batch.archived_at is not None:
            raise Refusal(
                404, f"The results of {batch.id} were deleted {self._settings.batch_days} days after its end."
            )
        return FileResponse(self._shelf.path(batch.id, "results"), media_type="application/x-jsonl")

    # OpenAI's -----------------------------------------------------------------------------------

    async def create_batch(self, request: Request) -> Response:
        """Take a batch whose requests are the lines of a file."""
        wanted = await read(request, openai_batches.BatchRequest)
        file = await self._file(request, wanted.input_file_id, "input_file_id")
        batch = self._new_batch(request, "batch_", api="openai", path=wanted.endpoint, requests=0)
        update = {"input_file_id": file.id, "metadata": wanted.metadata or {}}
        return reply(openai_batches.batch(await asyncio.to_thread(self._linked, batch.model_copy(update=update))))

    async def list_batches(self, request: Request) -> Response:
        """A part of the list of batches, the newest first."""
        wanted, batches = read_query(request, BatchPage), await self._batches(request, "openai")
        told, has_more = after(batches, _ids(batches), wanted.after, wanted.limit)
        return reply(openai_batches.page([openai_batches.batch(batch) for batch in told], has_more))

    async def retrieve_batch(self, request: Request) -> Response:
        """How far a batch is."""
        return reply(openai_batches.batch(await self._batch(request, "openai")))

    async def cancel_batch(self, request: Request) -> Response:
        """Ask nothing more of a batch."""
        return reply(openai_batches.batch(await self._cancel(request, "openai")))

    async def create_file(self, request: Request) -> Response:
        """Take a file."""
        _check_dialect(request)
        form = await uploaded(request, self._settings.max_upload_mb * MEGABYTE)
        async with form:
            now = datetime.now(UTC)
            expires_at = None if form.seconds is None else now + timedelta(seconds=form.seconds)
            file = StoredFile(
                id=new_id("file-"),
                name=form.name,
                owner=_owner(request),
                purpose=form.purpose,
                size=form.size,
                created_at=now,
                expires_at=expires_at,
            )
            await asyncio.to_thread(self._keep, file, form.chunks())
        return reply(openai_batches.file(file))

    async def list_files(self, request: Request) -> Response:
        """A part of the list of files."""
        _check_dialect(request)
        wanted = read_query(request, FilePage)
        files = await asyncio.to_thread(lambda: self._shelf.find(StoredFile, **_seen_by(request)))
        files = [file for file in files if wanted.purpose in (None, file.purpose)]
        files = files if wanted.order == "desc" else files[::-1]
        told, has_more = after(files, _ids(files), wanted.after, wanted.limit)
        return reply(openai_batches.page([openai_batches.file(file) for file in told], has_more))

    async def retrieve_file(self, request: Request) -> Response:
        """What is known of a file."""
        return reply(openai_batches.file(await self._file(request, request.path_params["id"])))

    async def delete_file(self, request: Request) -> Response:
        """Forget a file."""
        file = await self._file(request, request.path_params["id"])
        await asyncio.to_thread(self._shelf.delete, file)
        return reply({"id": file.id, "object": "file", "deleted": True})

    async def file_content(self, request: Request) -> Response:
        """The file itself."""
        file = await self._file(request, request.path_params["id"])
        path = self._shelf.path(file.id)
        return FileResponse(path, media_type="application/octet-stream", filename=file.name)

    # Both -----------------------------------------------------------------------------------------

    def _new_batch(self, request: Request, prefix: str, api: str, path: str, requests: int) -> Batch:
        now = datetime.now(UTC)
        return Batch.model_validate(
            {
                "id": new_id(prefix),
                "name": self._name,
                "owner": _owner(request),
                "api": api,
                "path": path,
                "size": 0,
                "requests": requests,
                "created_at": now,
                "expires_at": now + timedelta(hours=self._settings.batch_hours),
                "is_recordable": is_recordable(request.headers),
            }
        )

    def _keep(self, record: Batch | StoredFile, content: Iterable[bytes]) -> None:
        """Keep contents and record, if there is room for them."""
        most = int(self._settings.uploads_gb * GIGABYTE)
        if record.size + self._shelf.size_of(record.owner) > most:
            raise Refusal(
                413,
                f"All files and batches of one key together may have {self._settings.uploads_gb:g} GB here "
                "(serving.uploads_gb). Delete some first.",
            )
        part = "requests" if isinstance(record, Batch) else "content"
        write_private(self._shelf.path(record.id, part), content)
        self._shelf.save(record)

    def _linked(self, batch: Batch) -> Batch:
        """Keep a batch of a file's lines; one that cannot be asked has failed at once, and says why."""
        assert batch.input_file_id is not None
        path = self._shelf.path(batch.input_file_id)
        problems, ids = _checked(path, batch.path)
        update = {"requests": len(ids), "problems": problems, "size": path.stat().st_size}
        if problems:
            update |= {"ended_at": datetime.now(UTC)}
        else:  # its own name for the same bytes: the file may be deleted meanwhile
            os.link(path, self._shelf.path(batch.id, "requests"))
        batch = batch.model_copy(update=update)
        self._shelf.save(batch)
        return batch

    async def _batches(self, request: Request, api: str) -> list[Batch]:
        found = await asyncio.to_thread(lambda: self._shelf.find(Batch, **_seen_by(request)))
        return [batch for batch in found if batch.api == api]

    async def _batch(self, request: Request, api: str) -> Batch:
        id = request.path_params["id"]
        try:
            batch = await asyncio.to_thread(self._shelf.get, Batch, id, _seen_by(request).get("owner"))
        except MissingError as problem:
            raise Refusal(404, str(problem)) from problem
        if batch.api != api:
            raise Refusal(404, f"There is no batch '{id[:80]}' in this API.")
        return batch

    async def _cancel(self, request: Request, api: str) -> Batch:
        batch = await self._batch(request, api)
        if batch.ended_at is not None or batch.cancel_initiated_at is not None:
            return batch
        return await asyncio.to_thread(self._shelf.change, batch.id, _canceled)

    async def _file(self, request: Request, id: str, field: str | None = None) -> StoredFile:
        _check_dialect(request)
        try:
            return await asyncio.to_thread(self._shelf.get, StoredFile, id, _seen_by(request).get("owner"))
        except MissingError as problem:
            raise Refusal(400 if field else 404, str(problem), code="file_not_found", field=field) from problem


def _canceled(batch: Batch) -> Batch:
    is_late = batch.ended_at is not None or batch.cancel_initiated_at is not None
    return batch if is_late else batch.model_copy(update={"cancel_initiated_at": datetime.now(UTC)})


def _checked(path: Path, endpoint: str) -> tuple[tuple[LineProblem, ...], set[str]]:
    """What is wrong with the lines of a batch's file, and what its requests are called."""
    problems: list[LineProblem] = []
    ids: set[str] = set()
    with open(path, "rb") as stream:
        for number, raw in enumerate(stream, 1):
            if raw.strip() and (problem := openai_batches.problem_of(raw, number, endpoint, ids)):
                problems.append(problem)
            if len(problems) >= openai_batches.MOST_PROBLEMS or len(ids) > openai_batches.MOST_REQUESTS:
                break
    if not ids and not problems:
        problems.append(LineProblem(line=1, code="empty_file", message="The file holds no request."))
    if len(ids) > openai_batches.MOST_REQUESTS:
        text = f"A batch has at most {openai_batches.MOST_REQUESTS} requests."
        problems.append(LineProblem(line=len(ids), code="too_many_tasks", message=text))
    return tuple(problems), ids


def _ids(records: Sequence[Batch | StoredFile]) -> list[str]:
    return [record.id for record in records]


def _owner(request: Request) -> str:
    return request.state.key.name if request.state.key else ""


def _seen_by(request: Request) -> dict[str, str]:
    """What a key may see, as columns: an admin's sees everything."""
    key = request.state.key
    return {} if key and key.role == "admin" else {"owner": _owner(request)}


def _check_dialect(request: Request) -> None:
    if speaks_anthropic(request.headers):
        raise Refusal(404, "files: this server keeps files for clients of OpenAI's API only.")
