"""A conversation on the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from sonneteer import data
from sonneteer.chat import Options, Piece
from sonneteer.cli.conversation import Conversation, talk, usual_system_text
from sonneteer.cli.session import Work
from sonneteer.errors import RequestError
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.records import Example, Message, Prompt
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat
from tests.cli.conftest import DATASET


def typing(*lines: str | BaseException) -> Callable[[str], str]:
    """A person who types these lines, and then Ctrl-D."""
    waiting = iter(lines)

    def read(_: str) -> str:
        line = next(waiting, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    return read


def spoken(chat: ScriptedChat, *lines: str | BaseException, system: str | None = None) -> str:
    stream = io.StringIO()
    talk(Conversation(chat, Options(), system), Console(file=stream, width=80), typing(*lines))
    return stream.getvalue()


def asked(chat: ScriptedChat) -> list[list[str]]:
    return [[message.text for message in prompt.messages] for prompt in chat.asked]


def test_the_model_hears_the_whole_conversation() -> None:
    chat = ScriptedChat(["One.", "Two."])
    said = spoken(chat, "a", "", "b", system="Be kind.")
    assert asked(chat) == [["Be kind.", "a"], ["Be kind.", "a", "One.", "b"]]
    assert "model: One.\n" in said
    assert "model: Two.\n" in said


def test_reset_forgets_all_but_the_instructions() -> None:
    chat = ScriptedChat(["One.", "Two."])
    spoken(chat, "a", "/reset", "b", system="Be kind.")
    assert asked(chat)[1] == ["Be kind.", "b"]


@pytest.mark.parametrize("leave", ["/quit", "/exit", EOFError(), KeyboardInterrupt()])
def test_there_are_ways_out(leave: str | BaseException) -> None:
    chat = ScriptedChat(["One."])
    spoken(chat, leave, "never heard")
    assert chat.asked == []


def test_an_unknown_slash_word_is_not_sent() -> None:
    chat = ScriptedChat(["One."])
    assert "There is no /help." in spoken(chat, "/help")
    assert chat.asked == []


def test_what_the_model_writes_is_shown_as_it_is() -> None:
    long = "word " * 60 + "[bold]end[/bold]"
    assert long in spoken(ScriptedChat([long]), "a")


class Moody:
    """Fails on the first question, and answers the next."""

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem
        self.script = ScriptedChat(["Fine."])
        self.is_closed = False

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        if self.problem is not None and len(prompt.messages) == 1 and not self.is_closed:
            try:
                yield Piece("I beg")
                raise self.problem
            finally:
                self.is_closed = True
        yield from self.script.stream(prompt, options)

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[object]:
        raise NotImplementedError

    def count_tokens(self, prompt: Prompt) -> int:
        return 0


@pytest.mark.parametrize(
    ("problem", "words"), [(KeyboardInterrupt(), "(stopped)"), (RequestError("too long for me"), "too long for me")]
)
def test_an_answer_that_breaks_off_is_forgotten_and_the_talk_goes_on(problem: BaseException, words: str) -> None:
    chat = Moody(problem)
    stream = io.StringIO()
    conversation = Conversation(chat, Options(), None)  # type: ignore[arg-type]
    talk(conversation, Console(file=stream, width=80), typing("a", "b"))
    assert words in stream.getvalue()
    assert chat.is_closed
    assert asked(chat.script) == [["b"]]


def work_in(folder: Path) -> Work:
    (folder / "recipe.yaml").write_text("name: demo\ndata: {sources: a.jsonl}\n")
    return Work(read_recipe(folder), Store(folder / "workspace"), Silent())


def test_the_usual_instructions_are_those_of_most_training_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def example(*texts: str) -> Example:
        roles = ("system", "user", "assistant")[-len(texts) :]
        return Example(messages=tuple(Message(role=role, text=text) for role, text in zip(roles, texts, strict=True)))

    examples = [example("rare", "q", "a"), example("usual", "q", "b"), example("usual", "q", "c"), example("q", "d")]
    monkeypatch.setattr(data, "read_split", lambda store, dataset, split: examples)
    work = work_in(tmp_path)
    assert usual_system_text(work) is None
    work.store.save(DATASET)
    assert usual_system_text(work) == "usual"
    examples[:] = [example("q", "a")]
    assert usual_system_text(work) is None
