"""Talk with a model on the terminal: it remembers the conversation, and its words appear as they come."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from sonneteer import data
from sonneteer.chat import Answer, Chat, Options
from sonneteer.errors import SonneteerError
from sonneteer.records import DatasetVersion, Message, Prompt

if TYPE_CHECKING:
    from sonneteer.cli.session import Work

with contextlib.suppress(ImportError):  # not on Windows
    import readline  # noqa: F401  # arrow keys and a history, for input()

HELP = "Write, and press Enter. /reset forgets the conversation; /quit, or Ctrl-D, ends it; Ctrl-C stops an answer."


class Conversation:
    """Everything said so far, and the model that answers."""

    def __init__(self, chat: Chat, options: Options, system: str | None) -> None:
        self._chat = chat
        self._options = options
        self._start = (Message(role="system", text=system),) if system else ()
        self._said = self._start
        self.last: Answer | None = None

    def say(self, text: str) -> Generator[str, None, None]:
        """The answer piece by piece. What was not answered to its end is forgotten, question and all."""
        asked = (*self._said, Message(role="user", text=text))
        for piece in self._chat.stream(Prompt(messages=asked), self._options):
            if piece.answer is not None:
                self.last = piece.answer
                self._said = (*asked, Message(role="assistant", text=piece.answer.text))
            else:
                yield piece.text

    def reset(self) -> None:
        """Begin again."""
        self._said = self._start


def talk(conversation: Conversation, console: Console, read: Callable[[str], str] = input) -> None:
    """Read, answer, and again, until the person leaves."""
    console.print(Text(HELP, style="dim"))
    while True:
        try:
            words = read("you: ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if words in ("/quit", "/exit"):
            return
        if words == "/reset":
            conversation.reset()
            console.print(Text("Forgotten.", style="dim"))
        elif words.startswith("/"):
            console.print(Text(f"There is no {words}. {HELP}", style="dim"))
        elif words:
            _answer(conversation, words, console)


def _answer(conversation: Conversation, words: str, console: Console) -> None:
    console.print(Text("model: ", style="bold cyan"), end="")
    pieces = conversation.say(words)
    try:
        for piece in pieces:
            console.print(Text(piece), end="", soft_wrap=True)
        console.print()
    except KeyboardInterrupt:
        console.print(Text(" (stopped)", style="dim"))
    except SonneteerError as problem:
        console.print(Text(str(problem), style="red"))
    finally:
        pieces.close()  # stops the model


def usual_system_text(work: Work) -> str | None:
    """The system text that most training examples begin with: without it a tuned model is not at home."""
    known = work.store.find(DatasetVersion, name=work.loaded.recipe.name)
    if not known:
        return None
    examples = data.read_split(work.store, known[0], "train")
    first = Counter(example.messages[0].text for example in examples if example.messages[0].role == "system")
    return first.most_common(1)[0][0] if first else None
