"""The engine as a `Chat`, with or without an adapter: what evaluation and serving talk to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from sonneteer.chat import Answer, Options, Piece, Source
from sonneteer.models.engine.answering import Answering, Tell
from sonneteer.models.engine.engine import AnsweringEngine
from sonneteer.records import Prompt


class EngineChat:
    """Talks with one of an engine's models: the base, or one of its adapters. Any number of callers at a time."""

    def __init__(self, engine: AnsweringEngine, adapter: str | None = None) -> None:
        self.engine = engine
        self._adapter = adapter

    @property
    def seats(self) -> int:
        """How many answers are written at the same time."""
        return self.engine.limits.seats

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self.engine.model.context

    def begin(self, source: Source, options: Options, tell: Tell) -> Answering:
        """Begin an answer; its pieces are told from the engine's thread."""
        return self.engine.begin(source, options, tell, self._adapter)

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """One answer to each prompt, all at once."""
        told: SimpleQueue[tuple[int, Piece | Exception]] = SimpleQueue()
        begun: list[Answering] = []
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
