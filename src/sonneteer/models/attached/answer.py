"""One answer of a server, from its prompt to its last word."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from sonneteer.chat import Answer, Chance, Options, Piece, Source, pictures_of
from sonneteer.errors import MissingError
from sonneteer.models.attached.calls import CALL_ENDS, call_schema
from sonneteer.models.attached.dialects import Call
from sonneteer.models.attached.http import Stream
from sonneteer.models.engine.answering import Tell
from sonneteer.models.engine.writing import CALL_BEGINS, Writing
from sonneteer.records import Prompt

if TYPE_CHECKING:
    from sonneteer.models.attached.engine import AttachedEngine


class AttachedAnswer:
    """Reads the stream and tells its pieces. Tools' schemas are enforced from the place where a call begins."""

    def __init__(
        self,
        engine: AttachedEngine,
        source: Source,
        ids: list[int],
        options: Options,
        tell: Tell,
        adapter: str | None,
    ) -> None:
        self._engine = engine
        self._source = source
        self._ids = ids
        self._options = options
        self._tell = tell
        self._adapter = adapter
        self._tools = source.tools if isinstance(source, Prompt) else ()
        self._seen = source if isinstance(source, Prompt) and pictures_of(source) else None
        self._prompt_tokens = len(ids)
        tokenizer = engine.reader.tokenizer.backend_tokenizer
        self._writing = Writing(tokenizer, options.stop, bool(self._tools))
        self._limit = min(options.max_tokens, engine.context - len(ids))
        self._written = 0
        self._cached = 0
        self._end: Literal["end", "length"] | None = None
        self._chances: list[Chance] = []
        self._stream: Stream | None = None
        self._is_cancelled = False

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the model reads."""
        return self._prompt_tokens

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._is_cancelled = True
        if self._stream is not None:
            self._stream.leave()

    def write(self) -> None:
        """Ask, and tell what comes. Called in a thread of its own."""
        try:
            if self._options.form.must_call:
                self._writing.extend(CALL_BEGINS)
                self._write_call()
            else:
                self._read(self._call(self._ids, self._options.prefill, self._options.form.json_schema))
                if self._writing.has_call and self._end is None and self._writing.stop_sequence is None:
                    self._write_call()
            if not self._is_cancelled:
                self._finish()
        except Exception as problem:
            if not self._is_cancelled:
                with contextlib.suppress(RuntimeError):  # whoever asked may be gone
                    self._tell(problem)

    def _write_call(self) -> None:
        """The call whose mark stands at the end, held to the tools' schemas."""
        begun = self._writing.begin_call() + "\n"
        self._writing.extend("\n")
        begun = self._options.prefill + begun
        ids = self._engine.prompt_ids(self._source, begun)
        self._end = None
        self._read(self._call(ids, begun, call_schema(self._tools, self._options.form)))
        if self._end == "end":
            self._writing.extend(CALL_ENDS)

    def _call(self, ids: list[int], begun: str, schema: dict[str, object] | None) -> Call:
        left = max(self._limit - self._written, 0)
        model = self._adapter or self._engine.server.base
        return Call(ids, self._options, left, model, schema, self._seen, begun)

    def _read(self, call: Call) -> None:
        """One stream to its end. An adapter that the server has lost is loaded again, once."""
        if call.max_tokens == 0:
            self._end = "length"
            return
        try:
            self._read_once(call)
        except MissingError:
            if self._adapter is None or self._engine.on_missing is None:
                raise
            self._engine.on_missing(self._adapter)
            self._read_once(call)

    def _read_once(self, call: Call) -> None:
        dialect, before = self._engine.server.dialect, self._written
        stream = self._stream = Stream(self._engine.server.address)
        if self._is_cancelled:
            return
        for event in stream.events(dialect.path(call), dialect.body(call)):
            told = dialect.read(event)
            self._written = before + told.written if told.written is not None else self._written + bool(told.text)
            if self._seen and call.ids is self._ids:  # what an image takes, the server alone knows
                self._prompt_tokens = told.read or self._prompt_tokens
            self._cached = max(self._cached, told.cached or 0) if call.ids is self._ids else self._cached
            self._end = told.end or self._end
            self._take(told.text, told.chances)
            has_begun_call = self._writing.has_call and call.ids is self._ids
            if self._writing.stop_sequence is not None or has_begun_call:
                self._end = None
                stream.leave()
                return

    def _take(self, text: str, chances: tuple[Chance, ...]) -> None:
        if text:
            self._writing.extend(text)
        if self._options.log_probs is not None:
            chances = tuple(one._replace(others=one.others[: self._options.log_probs]) for one in chances)
            self._chances += chances
        new = self._writing.new_text()
        if (new or chances) and not self._is_cancelled:
            self._tell(Piece(new, None, chances))

    def _finish(self) -> None:
        calls = self._writing.calls()
        text, rest = self._writing.said(bool(calls))
        if rest:
            self._tell(Piece(rest))
        answer = Answer(
            text=text,
            stop_reason=self._writing.reason(self._end == "end", bool(calls)),
            stop_sequence=self._writing.stop_sequence,
            tool_calls=calls,
            prompt_tokens=self._prompt_tokens,
            answer_tokens=self._written,
            cached_tokens=min(self._cached, self._prompt_tokens),
            chances=tuple(self._chances),
        )
        self._tell(Piece("", answer))
