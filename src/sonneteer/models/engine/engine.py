"""Many answers at once: whoever comes joins the next step, whoever is done makes room (continuous batching).

One thread does all work with the network. A step takes the next token of every running answer and a piece of the
prompts that are being read, so that a long prompt holds nobody up for long.

Shape letters: M rows whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sonneteer.chat import Options, Source
from sonneteer.errors import ModelError, RequestError
from sonneteer.models.engine.answering import Answering, Loaded, Tell
from sonneteer.models.engine.batch import Batch
from sonneteer.models.engine.certainty import look
from sonneteer.models.engine.decoder import Decoder, fits, is_like_llama
from sonneteer.models.engine.draw import choose
from sonneteer.models.engine.guides import Guides
from sonneteer.models.engine.loras import Loras, read_adapter
from sonneteer.models.engine.prefixes import Prefixes
from sonneteer.models.engine.reading import PromptReader
from sonneteer.models.engine.seats import Seats
from sonneteer.models.engine.stack import Reading
from sonneteer.models.engine.writing import Writing
from sonneteer.models.load import LanguageModel
from sonneteer.records import Prompt

READ_AT_ONCE = 512  # tokens of prompts in one step, while nobody waits for a next token
READ_BESIDE = 192  # the same beside running answers


class Limits(NamedTuple):
    """What the engine may use."""

    seats: int = 16
    """Answers that are written at once."""
    kv_bytes: int = 4 * 1024**3
    """Keys and values of running answers; further answers wait."""
    prefix_bytes: int = 1024**3
    """Beginnings of prompts that come again."""


class Figures(NamedTuple):
    """What the engine is doing."""

    running: int
    waiting: int
    prefix_bytes: int


class AnsweringEngine:
    """Answers by one base model and its adapters. Raises ModelError where the lean pass does not fit the network."""

    sees_images = False

    def __init__(self, model: LanguageModel, limits: Limits | None = None, keeps_network: bool = True) -> None:
        """A network that is not kept gives its weights to the engine: there is no second copy in memory."""
        if not is_like_llama(model.network.eval()):
            raise ModelError(f"{model.name} is no Llama-like network.")
        self.decoder = Decoder(model.network)
        if not fits(self.decoder, model.network):
            raise ModelError(f"{model.name}: the lean pass does not compute what the network computes.")
        self.decoder.pack(keeps_network)
        self.model = model
        self.limits = limits or Limits()
        self._stop_ids = model.renderer.stop_ids()
        self._words = len(model.tokenizer)
        self._guides = Guides(model, self._stop_ids)
        size = int(model.network.config.get_text_config().vocab_size)
        self._reader = PromptReader(model.renderer, size, model.context)
        self._loads = itertools.count()
        self._prefixes = Prefixes(self.limits.prefix_bytes)
        self._seats = Seats()
        self._loras: tuple[list[str], Loras] | None = None
        self._waiting: deque[Answering] = deque()
        self._reading: list[Answering] = []
        self._running: list[Answering] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def load_adapter(self, name: str, folder: Path) -> Loaded:
        """An adapter to answer with, for as long as somebody holds it. Raises ModelError where it does not fit."""
        tables = read_adapter(folder, self.decoder.layers, self.decoder.outputs, self.decoder.like)
        return Loaded(f"{name}#{next(self._loads)}", tables)

    def figures(self) -> Figures:
        """What it is doing now."""
        return Figures(len(self._running) + len(self._reading), len(self._waiting), self._prefixes.bytes)

    def prompt_ids(self, source: Source, prefill: str = "") -> list[int]:
        """What the model reads. Raises RequestError for a token that it does not have."""
        return self._reader.prompt_ids(source, prefill)

    def token_bytes(self, token: int) -> bytes:
        """A token's own text; a character may have several tokens."""
        if token >= self._words:  # networks often have more rows than their tokenizer has tokens
            return b""
        return bytes(self._guides.tokenizer.decode_bytes([token]))

    @property
    def seats(self) -> int:
        """How many answers are written at the same time."""
        return self.limits.seats

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self.model.context

    def begin(self, source: Source, options: Options, tell: Tell, adapter: Loaded | None = None) -> Answering:
        """Queue an answer. Raises RequestError for a prompt that is too long or a form that cannot be enforced."""
        ids = self._reader.asked_ids(source, options)
        tools = source.tools if isinstance(source, Prompt) else ()
        form = options.form
        self._guides.check(form, tools)
        answering = Answering(
            ids=ids,
            limit=min(options.max_tokens, self.model.context - len(ids)),
            options=options,
            writing=Writing(self.model.tokenizer.backend_tokenizer, options.stop, bool(tools)),
            tell=tell,
            adapter=adapter,
            guide=self._guides.of(form, tools, options.prefill),
            call_guide=(lambda begun: self._guides.of_call(form, tools, begun)) if tools else None,
            decode=self.token_bytes,
        )
        with self._changed:
            if self._is_closed:
                raise RequestError("the model has been closed")
            self._waiting.append(answering)
            self._changed.notify()
        return answering

    def close(self) -> None:
        """Stop at once; answers under way fail."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        torch.set_num_threads(self._threads)  # each thread has a number of its own
        while True:
            with self._changed:
                while not (self._is_closed or self._waiting or self._reading or self._running):
                    self._seats.clear()
                    self._changed.wait()
                if self._is_closed:
                    self._fail_all(ModelError("the model has been closed"))
                    return
            try:
                self._drop_cancelled()
                self._admit()
                if self._reading or self._running:
                    self._step()
            except Exception as problem:
                self._fail_all(problem)

    def _fail_all(self, problem: Exception) -> None:
        for answering in (*self._running, *self._reading, *self._waiting):
            answering.fail(problem)
        self._running.clear()
        self._reading.clear()
        self._waiting.clear()

    def _drop_cancelled(self) -> None:
        for seat in range(len(self._running) - 1, -1, -1):
            if self._running[seat].is_cancelled:
                self._leave(seat)
        self._reading = [each for each in self._reading if not each.is_cancelled]

    def _admit(self) -> None:
        """Let in who waits, first come first served, while there are seats and memory."""
        while self._waiting:
            inside = [*self._running, *self._reading]
            answering = self._waiting[0]
            longest = max(each.most_tokens for each in (*inside, answering))
            needed = (len(inside) + 1) * longest * self.decoder.bytes_per_token
            if inside and (len(inside) >= self.limits.seats or needed > self.limits.kv_bytes):
                return
            self._waiting.popleft()
            if answering.is_cancelled:
                continue
            self._reading.append(answering)

    def _step(self) -> None:
        running = list(self._running)
        pieces = self._pieces()
        if running:
            self._seats.room(len(running), max(each.length for each in running))
        batch = Batch(running, pieces, self.decoder.device)
        logits_MV = self.decoder.forward(batch.step, self._seats.kv_LSKTE, self._loras_of(batch.adapters))
        for answering, reading in pieces:
            answering.read += reading.length
        batch.score_prompts(logits_MV)
        self._advance([each for _, each in batch.wanted], batch.last(logits_MV))

    def _pieces(self) -> list[tuple[Answering, Reading]]:
        """What of the waiting prompts is read in this step."""
        left = READ_BESIDE if self._running else READ_AT_ONCE
        pieces = []
        for answering in self._reading:
            if left <= 0:
                break
            if answering.kv_LKTE is None:
                answering.kv_LKTE = self.decoder.empty_kv(len(answering.ids))
            if not answering.options.scores_prompt:  # what others have read meanwhile need not be read again
                known = self._prefixes.fill(answering.ids, answering.reader, answering.kv_LKTE, answering.read)
                answering.cached += known - answering.read
                answering.read = known
            length = min(left, len(answering.ids) - answering.read)
            pieces.append((answering, Reading(answering.kv_LKTE, answering.read, length)))
            left -= length
        return pieces

    def _loras_of(self, adapters: tuple[Loaded, ...]) -> Loras | None:
        """The step's adapters side by side; kept from step to step, for they seldom change."""
        if not adapters:
            return None
        names = [loaded.reader for loaded in adapters]
        if self._loras is None or self._loras[0] != names:
            self._loras = (names, Loras([loaded.tables for loaded in adapters]))
        return self._loras[1]

    def _advance(self, answerings: Sequence[Answering], logits_MV: Tensor) -> None:
        """The next token of each answer, and what becomes of the answer."""
        adjusted_MV = logits_MV
        if any(each.is_adjusted for each in answerings):
            adjusted_MV = logits_MV.clone()
            for each, logits_V in zip(answerings, adjusted_MV, strict=True):
                each.adjust(logits_V)
        tokens = choose(adjusted_MV, [each.wish for each in answerings]) if answerings else []
        look(logits_MV, tokens, [each.certainty for each in answerings])
        for each, token, logits_V in zip(answerings, tokens, logits_MV, strict=True):
            with _failing(each):
                each.take(token, logits_V, self._stop_ids)
        for each in answerings:  # one soon after the other: whoever sends them is woken once
            if not each.is_cancelled:
                with _failing(each):
                    each.pass_on()
        self._seat_readers()
        for seat in range(len(self._running) - 1, -1, -1):
            if self._running[seat].is_over:
                self._leave(seat)

    def _seat_readers(self) -> None:
        """Whose prompt has been read takes a seat, unless the answer is over already."""
        for each in list(self._reading):
            if each.kv_LKTE is None:
                break
            self._prefixes.keep(each.ids[: each.read], each.reader, each.kv_LKTE)
            if each.read == len(each.ids):
                self._reading.remove(each)
                if not each.is_over:
                    self._seats.seat(len(self._running), each.kv_LKTE, each.read)
                    self._running.append(each)
                each.kv_LKTE = None

    def _leave(self, seat: int) -> None:
        """An answer is over: its text may be the beginning of the next prompt, and the last one takes its seat."""
        gone, last = self._running[seat], self._running.pop()
        known = [*gone.ids, *gone.writing.ids[:-1]]
        self._prefixes.keep(known, gone.reader, self._seats.of(seat))
        if last is not gone:
            self._running[seat] = last
            self._seats.move(len(self._running), seat, last.length)


@contextmanager
def _failing(answering: Answering) -> Iterator[None]:
    """An answer's own problem ends that answer only."""
    try:
        yield
    except Exception as problem:
        answering.cancel()
        answering.fail(problem)
