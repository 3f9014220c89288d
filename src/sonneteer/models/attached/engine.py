"""A server that answers, as an engine: each answer has a thread that reads its stream."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sonneteer.chat import Options, Source
from sonneteer.errors import RequestError
from sonneteer.models.attached.answer import AttachedAnswer
from sonneteer.models.attached.dialects import Dialect
from sonneteer.models.attached.http import Address
from sonneteer.models.engine.answering import Tell
from sonneteer.models.engine.reading import PromptReader
from sonneteer.records import Prompt


class Server(NamedTuple):
    """Where an engine listens and how it is spoken to."""

    address: Address
    dialect: Dialect
    base: str = ""
    """Its name for the model without an adapter."""
    sees_images: bool = False
    keeps: object = None
    """What must live as long as it is asked."""


class AttachedEngine:
    """Answers by a server's base model and the adapters that it has loaded, by name."""

    def __init__(self, reader: PromptReader, server: Server, seats: int) -> None:
        self.server = server
        self.seats = seats
        self._reader = reader
        self._threads = ThreadPoolExecutor(seats, thread_name_prefix="stream")
        self.on_missing: Callable[[str], None] | None = None
        """Loads an adapter again that the server no longer has."""

    @property
    def sees_images(self) -> bool:
        """Whether the model sees."""
        return self.server.sees_images

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self._reader.context

    def prompt_ids(self, source: Source, prefill: str = "") -> list[int]:
        """What the model reads. Raises RequestError for a token that it does not have."""
        return self._reader.prompt_ids(source, prefill)

    def begin(self, source: Source, options: Options, tell: Tell, adapter: str | None = None) -> AttachedAnswer:
        """Ask for an answer. Raises RequestError for a prompt that is too long, or for what such a server cannot do."""
        ids = self._reader.asked_ids(source, options)
        if options.scores_prompt:
            raise RequestError("echo with logprobs: this engine does not tell how likely the prompt's words are")
        form = options.form
        if options.prefill and (form.json_schema is not None or form.must_call):
            raise RequestError("this engine cannot continue a given beginning and hold it to a schema, too")
        if isinstance(source, Prompt) and form.must_call and not source.tools:
            raise RequestError("tool_choice: there are no tools")
        answer = AttachedAnswer(self, source, ids, options, tell, adapter)
        self._threads.submit(answer.write)
        return answer

    @property
    def reader(self) -> PromptReader:
        """Reads requests."""
        return self._reader

    def close(self) -> None:
        """Take no further answers; whoever is being answered is let go by the server's end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
