"""A file that a client sends as a form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import get_args

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from sonneteer.serving.openai_batches import Purpose
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.wire import MOST_BYTES, too_large

CHUNK = 1024**2
FORM_BYTES = 64 * 1024
"""What the form around the file may take."""
SHORTEST, LONGEST = 3600, 2_592_000  # seconds that a file may be kept, as in OpenAI's API
LONGEST_NAME = 255


class Upload:
    """What was sent. Leaving it frees its memory."""

    def __init__(self, form: FormData) -> None:
        self._form = form
        sent = form.get("file")
        if not isinstance(sent, UploadFile):
            raise Refusal(400, "file: Field required, as a file of a multipart form", field="file")
        self._file = sent
        self.purpose = _purpose(form)
        self.seconds = _seconds(form)
        """How long it is kept; None for as long as it likes."""
        self.size = sent.size or 0
        self.name = (sent.filename or "upload").replace("\\", "/").rpartition("/")[2][:LONGEST_NAME] or "upload"

    def chunks(self) -> Iterator[bytes]:
        """The contents."""
        while chunk := self._file.file.read(CHUNK):
            yield chunk

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._form.close()


async def uploaded(request: Request, most_bytes: int) -> Upload:
    """The form that a client sends. Raises Refusal: 413 for too much of it, 400 for what is no such form."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most_bytes + FORM_BYTES:
            await _drop(request, most_bytes)
            raise too_large(most_bytes)
        return message

    try:
        form = await Request(request.scope, receive).form(max_files=1, max_fields=20, max_part_size=FORM_BYTES)
    except HTTPException as problem:
        raise Refusal(400, f"The form cannot be read: {problem.detail}") from problem
    try:
        return Upload(form)
    except Refusal:
        await form.close()
        raise


async def _drop(request: Request, most_bytes: int) -> None:
    """Read on for a while: many clients hear no answer before they have sent all."""
    rest = 3 * MOST_BYTES
    while rest > 0:
        message = await request.receive()
        rest -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _purpose(form: FormData) -> str:
    purpose = form.get("purpose")
    if purpose not in get_args(Purpose):
        raise Refusal(400, f"purpose: Input should be one of {', '.join(get_args(Purpose))}", field="purpose")
    return str(purpose)


def _seconds(form: FormData) -> int | None:
    anchor, told = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and told is None:
        return None
    seconds = None
    with suppress(ValueError):
        seconds = int(str(told))
    if anchor != "created_at" or seconds is None or not SHORTEST <= seconds <= LONGEST:
        text = f"expires_after: Input should be the anchor 'created_at' and {SHORTEST} to {LONGEST} seconds"
        raise Refusal(400, text, field="expires_after")
    return seconds
