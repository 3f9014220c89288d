"""One answer of the engine from its prompt to its last word."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from sonneteer.chat import Answer, Chance, Options, Piece
from sonneteer.models.engine.certainty import Certainty
from sonneteer.models.engine.draw import Wish
from sonneteer.models.engine.guides import Guide
from sonneteer.models.engine.loras import Adapter
from sonneteer.models.engine.writing import Writing

Tell = Callable[[Piece | Exception], None]


@dataclass(frozen=True, eq=False)
class Loaded:
    """An adapter in memory. `reader` tells its cached prompts from those of an adapter that had its name before."""

    reader: str
    tables: Adapter


@dataclass(eq=False)
class Answering:
    """An answer that waits, is being read or is being written."""

    ids: list[int]
    """The prompt."""
    limit: int
    """Most tokens to write."""
    options: Options
    writing: Writing
    tell: Tell
    adapter: Loaded | None
    guide: Guide | None
    call_guide: Callable[[str], Guide] | None
    """Makes the guide for a tool call that the model begins by itself."""
    decode: Callable[[int], bytes]
    kv_LKTE: Tensor | None = None
    read: int = 0
    """Tokens of the prompt whose keys and values are known."""
    cached: int = 0
    is_cancelled: bool = False
    is_ended: bool = False
    chances: list[Chance] = field(default_factory=list)
    prompt_chances: list[Chance] = field(default_factory=list)
    end_chances: tuple[Chance, ...] = ()
    _told_chances: int = 0

    def __post_init__(self) -> None:
        self.wish = Wish(self.options, Random(self.options.seed))
        self.certainty = Certainty()

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the model reads."""
        return len(self.ids)

    @property
    def length(self) -> int:
        """Tokens that are known: the prompt and what was written."""
        return len(self.ids) + len(self.writing.ids)

    @property
    def reader(self) -> str:
        """Who reads the prompt: what is cached for one adapter is of no use to another."""
        return self.adapter.reader if self.adapter is not None else ""

    @property
    def most_tokens(self) -> int:
        """Tokens that it may come to."""
        return len(self.ids) + self.limit

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be written."""
        is_full = len(self.writing.ids) >= self.limit
        return self.is_cancelled or self.is_ended or is_full or self.writing.stop_sequence is not None

    def cancel(self) -> None:
        """Nobody waits for it any more; the engine drops it before its next step."""
        self.is_cancelled = True

    @property
    def is_adjusted(self) -> bool:
        """Whether its next token is drawn from other logits than the model's."""
        options = self.options
        has_penalty = bool(options.frequency_penalty or options.presence_penalty)
        return bool(options.logit_bias) or has_penalty or self.guide is not None

    def adjust(self, logits_V: Tensor) -> None:
        """Apply biases and penalties, and make impossible what breaks the form. In place."""
        options = self.options
        for token, bias in options.logit_bias.items():
            if 0 <= token < len(logits_V):
                logits_V[token] += bias
        if (options.frequency_penalty or options.presence_penalty) and self.writing.ids:
            written = torch.tensor(self.writing.ids, device=logits_V.device)
            told, counts = torch.unique(written, return_counts=True)
            logits_V[told] -= options.presence_penalty + options.frequency_penalty * counts
        if self.guide is not None:
            self.guide.mask(logits_V)

    def take(self, token: int, logits_V: Tensor, stop_ids: set[int]) -> None:
        """The next token, and what the model thought of it. A mark that ends the answer is no part of it."""
        if self.limit == 0:
            return
        told = self._told(token, logits_V)
        if token in stop_ids:
            self.is_ended = True
            self.end_chances = told
            return
        if self.guide is not None:
            self.guide.take(token)
        self.writing.add(token)
        self.chances += told
        if self.guide is None and self.call_guide is not None and self.writing.has_call:
            self.guide = self.call_guide(self.writing.after_call_mark)

    def _told(self, token: int, logits_V: Tensor) -> tuple[Chance, ...]:
        wanted = self.options.log_probs
        return () if wanted is None else (chance_of(logits_V, token, wanted, self.decode),)

    def pass_on(self) -> None:
        """Tell what is new. The last piece brings the whole answer."""
        if self.is_over and not self.is_cancelled:
            self._finish()
        elif text := self.writing.new_text():
            self.tell(Piece(text, None, self._new_chances()))

    def fail(self, problem: Exception) -> None:
        """Tell that there will be no answer."""
        with contextlib.suppress(RuntimeError):  # whoever asked may be gone
            self.tell(problem)

    def _finish(self) -> None:
        self.writing.end()
        calls = self.writing.calls()
        text, rest = self.writing.said(bool(calls))
        if rest or len(self.chances) > self._told_chances:
            self.tell(Piece(rest, None, self._new_chances()))
        answer = Answer(
            text=text,
            stop_reason=self.writing.reason(self.is_ended, bool(calls)),
            stop_sequence=self.writing.stop_sequence,
            tool_calls=calls,
            prompt_tokens=len(self.ids),
            answer_tokens=len(self.writing.ids) + self.is_ended,
            cached_tokens=self.cached,
            confidence=self.certainty.share,
            chances=tuple(self.chances),
            prompt_chances=tuple(self.prompt_chances),
            end_chances=self.end_chances,
        )
        self.tell(Piece("", answer))

    def _new_chances(self) -> tuple[Chance, ...]:
        new = tuple(self.chances[self._told_chances :])
        self._told_chances = len(self.chances)
        return new


def chance_of(logits_V: Tensor, token: int, others: int, decode: Callable[[int], bytes]) -> Chance:
    """How likely the model found a token, and which it found likeliest."""
    log_probs = logits_V.log_softmax(-1)
    values, order = log_probs.topk(others)
    told = zip(order.tolist(), values.tolist(), strict=True)
    return Chance(token, decode(token), float(log_probs[token]), tuple((decode(other), value) for other, value in told))
