"""Who is answered when: a bounded queue, and no work for who has left.

An engine answers as many at once as it has seats. Other chats are asked one request at a time, in one thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar

from sonneteer.chat import Answer, Chat, Engine, Options, Piece
from sonneteer.errors import RequestError
from sonneteer.records import Prompt
from sonneteer.serving.asked import Asked
from sonneteer.serving.begun import Begun, Post, begin
from sonneteer.serving.lineup import ServedModel
from sonneteer.serving.refusals import OVERLOADED, RETRY_SECONDS, Refusal
from sonneteer.serving.traffic import Witness

T = TypeVar("T")
READERS = 2  # threads that turn prompts into tokens
FULL = "Overloaded: too many requests are waiting. Try again later."
STOPPING = "Overloaded: the server is stopping. Try again later."


class GaveWay(Exception):
    """Somebody live needed the place of what nobody waited for."""


class Turns:
    """The queue before the models. `seconds` is how long one request may take from its beginning to its end."""

    def __init__(self, max_waiting: int, seconds: float = 600.0) -> None:
        self.seconds = seconds
        self._max_waiting = max_waiting
        self._inside = 0
        self._behind: list[asyncio.Task[Any]] = []
        self._has_changed = asyncio.Event()
        self._is_closed = False
        self._floor = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._post: Post | None = None
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="reader")

    async def begin(self, served: ServedModel, asked: Asked, witness: Witness, is_live: bool = True) -> Turn:
        """A place in the queue. Raises Refusal if there is none left, or if the prompt is too long for the model.

        Only who is `behind` may begin what is not live: it needs no place, and raises GaveWay where somebody does.
        """
        if is_live:
            self.enter(served.chat)
        elif self._inside and self._inside + len(self._behind) > seats_of(served.chat):
            raise GaveWay
        begun: list[Begun] = []
        try:
            if isinstance(served.chat, Engine):
                await self._begin_all(served.chat, asked, begun)
                turn = Turn(self, served, asked, begun[0].prompt_tokens, witness, begun)
            else:
                turn = Turn(self, served, asked, await self._checked(served, asked), witness)
            turn.is_live = is_live
        except BaseException:
            for one in begun:
                one.cancel()
            if is_live:
                self.leave()
            raise
        return turn

    async def _checked(self, served: ServedModel, asked: Asked) -> int:
        """The prompt's tokens, if a chat that is no engine can answer this."""
        _check_plain(served, asked)
        prompt_tokens = await self._run(served.chat.count_tokens, asked.prompt)
        if served.context is not None and prompt_tokens >= served.context:
            raise Refusal(
                400,
                f"prompt is too long: {prompt_tokens} tokens > {served.context - 1} maximum",
                code="context_length_exceeded",
                field="messages",
            )
        return prompt_tokens

    async def count(self, served: ServedModel, prompt: Prompt) -> int:
        """The prompt's tokens, counted between two steps of whatever is being answered."""
        self.enter(served.chat)
        try:
            return await self._run(served.chat.count_tokens, prompt)
        finally:
            self.leave()

    async def pieces(self, chat: Chat, prompt: Prompt, options: Options) -> AsyncGenerator[Piece, None]:
        """The answer as it comes, when its turn has come. Closing this stops the work."""
        async with self._floor:
            steps = _steps(chat, prompt, options)
            try:
                while (piece := await self._run(next, steps, None)) is not None:
                    yield piece
            finally:
                # Not awaited: whoever closes may be cancelled himself. The next request's steps come after it anyway.
                if not self._is_closed:
                    self._thread.submit(steps.close)

    def close(self) -> None:
        """No further work: who still waits is refused."""
        self._is_closed = True
        self._thread.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    def enter(self, chat: Chat) -> None:
        """Take a place in the queue. Raises Refusal if there is none left."""
        seats = seats_of(chat)
        if self._inside >= self._max_waiting + seats:  # so many are answered, the others wait
            raise Refusal(OVERLOADED, FULL, code="overloaded", retry_after=RETRY_SECONDS)
        self._inside += 1
        while self._behind and self._inside + len(self._behind) > seats:
            self._behind.pop().cancel()

    def leave(self) -> None:
        """Give a place in the queue back."""
        self._inside -= 1
        self._has_changed.set()

    async def until_room(self, most: int) -> None:
        """Returns when fewer than so many answers are under way, live ones included."""
        while self._inside + len(self._behind) >= most:
            self._has_changed.clear()
            await self._has_changed.wait()

    async def behind(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work for which nobody waits. Raises GaveWay if a live request needs its place meanwhile."""
        task = asyncio.create_task(work)
        self._behind.append(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            if task in self._behind:
                self._behind.remove(task)
            self._has_changed.set()
        if task.cancelled():  # by `enter`
            raise GaveWay
        return task.result()

    async def _begin_all(self, engine: Engine, asked: Asked, begun: list[Begun]) -> None:
        """Begin every answer that is wanted. Raises Refusal for what cannot be answered."""
        if self._is_closed:
            raise Refusal(OVERLOADED, STOPPING, code="overloaded", retry_after=RETRY_SECONDS)
        self._post = self._post or Post()
        try:
            for number, options in enumerate(asked.choices):
                source = asked.texts[number] if asked.texts else asked.prompt
                begun.append(await begin(engine, source, options, self._readers, self._post))
        except RequestError as problem:
            is_long = "too long" in str(problem)
            code, field = ("context_length_exceeded", "messages") if is_long else (None, None)
            raise Refusal(400, str(problem), code=code, field=field) from problem

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        if self._is_closed:
            raise Refusal(OVERLOADED, STOPPING, code="overloaded", retry_after=RETRY_SECONDS)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


class Turn:
    """One request's time with a model. It holds its place in the queue until it is left."""

    def __init__(
        self,
        turns: Turns,
        served: ServedModel,
        asked: Asked,
        prompt_tokens: int,
        witness: Witness,
        begun: Sequence[Begun] = (),
    ) -> None:
        self.id = witness.id
        self.name = served.name
        self.asked = asked
        self.prompt_tokens = prompt_tokens
        self._turns = turns
        self._chat = served.chat
        self._witness = witness
        self._begun = begun
        self.spend: Callable[[int], None] = lambda tokens: None
        """Is told what each answer took."""
        self.is_live = True
        """Whether it has a place in the queue."""
        self._is_over = False

    @property
    def seconds(self) -> float:
        """How long it may take."""
        return self._turns.seconds

    def pieces(self, number: int = 0) -> AsyncGenerator[Piece, None]:
        """One answer piece by piece; the last piece brings the whole of it."""
        return self._witness.watch(self._counted(number))

    async def _counted(self, number: int) -> AsyncGenerator[Piece, None]:
        source = self._begun[number].pieces() if self._begun else self._pieces(self.asked.choices[number])
        async with aclosing(source) as pieces:
            async for piece in pieces:
                if piece.answer is not None:
                    self.spend(piece.answer.prompt_tokens + piece.answer.answer_tokens)
                yield piece

    async def _pieces(self, options: Options) -> AsyncGenerator[Piece, None]:
        if options.max_tokens == 0:
            yield Piece("", Answer(text="", stop_reason="length", prompt_tokens=self.prompt_tokens, answer_tokens=0))
            return
        # With tools only the end tells what was said to the user and what was a call, so nothing is told before.
        is_held = bool(self.asked.prompt.tools)
        async with aclosing(self._turns.pieces(self._chat, self.asked.prompt, options)) as pieces:
            async for piece in pieces:
                if piece.answer is not None:
                    answer = self._with_allowed_calls(piece.answer, options)
                    if is_held and answer.text:
                        yield Piece(answer.text)
                    yield Piece("", answer)
                    return
                if not is_held:
                    yield piece
        raise RuntimeError("the model's answer has no end")

    async def answer(self, number: int = 0) -> Answer:
        """One whole answer."""
        async with aclosing(self.pieces(number)) as pieces:
            async for piece in pieces:
                if piece.answer is not None:
                    return piece.answer
        raise AssertionError("the last piece brings the answer")

    async def answers(self) -> list[Answer]:
        """All answers that were asked for."""
        return [await self.answer(number) for number in range(len(self.asked.choices))]

    def leave(self) -> None:
        """Give the place in the queue to somebody else."""
        if not self._is_over:
            self._is_over = True
            for begun in self._begun:
                begun.cancel()
            if self.is_live:
                self._turns.leave()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @staticmethod
    def _with_allowed_calls(answer: Answer, options: Options) -> Answer:
        if not options.form.has_one_call:
            return answer
        return answer.model_copy(update={"tool_calls": answer.tool_calls[:1]})


def seats_of(chat: Chat) -> int:
    """How many it answers at the same time."""
    return chat.seats if isinstance(chat, Engine) else 1


def _check_plain(served: ServedModel, asked: Asked) -> None:
    """Raises Refusal for what only an engine can do."""
    if asked.texts:
        raise Refusal(400, f"{served.name} reads conversations only, no plain text and no tokens")
    form = asked.choices[0].form
    if form.must_call or form.json_schema is not None:
        raise Refusal(400, f"{served.name} cannot be held to a schema, nor made to call a tool")
    if asked.choices[0].log_probs is not None:
        raise Refusal(400, f"{served.name} does not tell how likely its words are", field="logprobs")


def _steps(chat: Chat, prompt: Prompt, options: Options) -> Generator[Piece, None, None]:
    """The answer's steps; nothing happens before the first is asked for, and closing it closes the model's iterator."""
    pieces = chat.stream(prompt, options)
    try:
        yield from pieces
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
