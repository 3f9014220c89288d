"""An engine as a `Chat`, with or without an adapter: what evaluation and serving talk to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any, Protocol

from sonneteer.chat import Answer, Options, Piece, Source, Ticket
from sonneteer.models.engine.answering import Tell
from sonneteer.records import Prompt


class Answers(Protocol):
    """Answers by one base model and what is loaded beside it."""

    @property
    def seats(self) -> int:
        """How many answers are written at the same time."""
        ...

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        ...

    @property
    def sees_images(self) -> bool:
        """Whether the model sees."""
        ...

    def begin(self, source: Source, options: Options, tell: Tell, adapter: Any = None) -> Ticket:
        """Queue an answer. Raises RequestError for what cannot be answered."""
        ...

    def prompt_ids(self, source: Source, prefill: str = "") -> list[int]:
        """What the model reads."""
        ...


class EngineChat:
    """Talks with one of an engine's models: the base, or one of its adapters. Any number of callers at a time."""

    def __init__(self, engine: Answers, adapter: object = None) -> None:
        """`adapter` is what the engine gave for it; it is kept as long as this chat is."""
        self.engine = engine
        self.adapter = adapter

    @property
    def seats(self) -> int:
        """How many answers are written at the same time."""
        return self.engine.seats

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self.engine.context

    @property
    def sees_images(self) -> bool:
        """Whether the model sees."""
        return self.engine.sees_images

    def begin(self, source: Source, options: Options, tell: Tell) -> Ticket:
        """Begin an answer; its pieces are told from the engine's thread."""
        return self.engine.begin(source, options, tell, self.adapter)

    def answer(self, prompts: Sequence[Source], options: Options) -> list[Answer]:
        """One answer to each prompt, all at once."""
        told: SimpleQueue[tuple[int, Piece | Exception]] = SimpleQueue()
        begun: list[Ticket] = []
        answers: dict[int, Answer] = {}
        try:
            for number, prompt in enumerate(prompts):
                begun.append(self.begin(prompt, options, _teller(told, number)))
            while len(answers) < len(prompts):
                number, piece = told.get()
                if isinstance(piece, Exception):
                    raise piece
                if piece.answer is not None:
                    answers[number] = piece.answer
        finally:
            for answering in begun:
                answering.cancel()
        return [answers[number] for number in range(len(prompts))]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The answer piece by piece. Closing the iterator stops the work."""
        told: SimpleQueue[Piece | Exception] = SimpleQueue()
        answering = self.begin(prompt, options, told.put)
        try:
            while True:
                piece = told.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                if piece.answer is not None:
                    return
        finally:
            answering.cancel()

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the rendered prompt."""
        return len(self.engine.prompt_ids(prompt))


def _teller(told: SimpleQueue[tuple[int, Piece | Exception]], number: int) -> Tell:
    return lambda piece: told.put((number, piece))
