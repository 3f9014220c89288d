"""One command from its words to its exit code: where it works, what it shows, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, RenderableType
from rich.text import Text

from sonneteer.cli.screen import Screen
from sonneteer.progress import Progress, Silent

if TYPE_CHECKING:  # these load pydantic and SQLAlchemy, which `--help` does without
    from sonneteer.errors import RecipeError
    from sonneteer.recipe import LoadedRecipe
    from sonneteer.records import Record
    from sonneteer.store import Store


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    BROKEN = 1
    NOT_BETTER = 2
    MUST_CHANGE = 3
    CANNOT_TELL = 4
    INTERRUPTED = 130


STATUS = {
    ExitCode.DONE: "done",
    ExitCode.BROKEN: "broken",
    ExitCode.NOT_BETTER: "not better",
    ExitCode.MUST_CHANGE: "change something",
    ExitCode.CANNOT_TELL: "cannot tell",
    ExitCode.INTERRUPTED: "interrupted",
}


FILE_WIDTH = 120  # characters a line where the output is no terminal, so that paths stay whole


class Outcome(NamedTuple):
    """What a command came to: a document for machines, a page for people, and an exit code."""

    document: Mapping[str, Any]
    page: Sequence[RenderableType] = ()
    exit_code: ExitCode = ExitCode.DONE


class Work(NamedTuple):
    """What the commands that follow a recipe work with."""

    loaded: LoadedRecipe
    store: Store
    progress: Progress


class Session:
    """A command under way. Results go to the standard output, progress and complaints beside it."""

    def __init__(self) -> None:
        self.is_json = False
        self.workspace = Path("workspace")
        self.command = ""
        self.own_options: tuple[str, ...] = ()
        self.notes: list[str] = []
        self.screen = Screen(Console(stderr=True))
        self.out = Console()
        if not self.out.is_terminal:
            self.out.width = max(self.out.width, FILE_WIDTH)

    def begin(self, command: str, workspace: Path, is_json: bool) -> None:
        """What every command says first."""
        self.command, self.workspace, self.is_json = command, workspace, is_json

    def open(self, words: Sequence[str], *, begins: bool = True) -> Work:
        """Read the recipe that the command line names, and open the workspace; `begins` also makes a new one."""
        from sonneteer.errors import RecipeError
        from sonneteer.recipe import read_recipe

        path, overrides = split_words(words)
        try:
            loaded = read_recipe(path, overrides)
        except RecipeError as problem:
            raise RecipeError([*problem.problems, *self._advice(problem)]) from None
        self.notes = list(loaded.notes)
        for note in self.notes:
            self.progress.note(note)
        from sonneteer.store import Store

        return Work(loaded, Store(self.workspace) if begins else store_at(self.workspace), self.progress)

    def _advice(self, problem: RecipeError) -> list[str]:
        """What the command itself takes, where its line has a word that is no setting."""
        if not any(said.startswith("command line: ") and "no such setting" in said for said in problem.problems):
            return []
        own = ", ".join(self.own_options)
        return [f"sonneteer {self.command} itself takes {own}; other options are settings of the recipe."]

    @property
    def progress(self) -> Progress:
        """Who watches: nobody where a machine reads the output and no terminal is there."""
        return self.screen if not self.is_json or self.screen.console.is_terminal else Silent()

    def show(self, *page: RenderableType) -> None:
        """Show people something on the way. Machines get one document at the end."""
        self.screen.rest()
        if not self.is_json:
            for part in page:
                self.out.print(part, soft_wrap=isinstance(part, Text))

    def finish(self, outcome: Outcome) -> ExitCode:
        """Show what the command came to."""
        self.show(*outcome.page)
        if self.is_json:
            self._print_document(outcome.exit_code, outcome.document)
        return outcome.exit_code

    def fail(self, exit_code: ExitCode, problems: Sequence[str]) -> ExitCode:
        """Say what stands in the way."""
        self.screen.rest()
        if self.is_json:
            self._print_document(exit_code, {"problems": list(problems)})
        else:
            for problem in problems:
                colour = "yellow" if exit_code is ExitCode.INTERRUPTED else "red"
                self.screen.console.print(Text(problem, style=colour), soft_wrap=True)
        return exit_code

    def _print_document(self, exit_code: ExitCode, content: Mapping[str, Any]) -> None:
        head = {"command": self.command, "status": STATUS[exit_code], "exit_code": int(exit_code)}
        notes = {"notes": self.notes} if self.notes else {}
        print(json.dumps({**head, **notes, **content}, ensure_ascii=False, indent=2, default=str, allow_nan=False))


def store_at(workspace: Path) -> Store:
    """A workspace that is there: another one would know of nothing, and look well. Raises MissingError."""
    from sonneteer.errors import MissingError
    from sonneteer.store import Store

    if not workspace.is_dir():
        where = workspace.absolute()
        raise MissingError(f"There is no workspace {where}. Go to the folder that it lies in, or name it: --workspace.")
    return Store(workspace)


def split_words(words: Sequence[str]) -> tuple[Path, list[str]]:
    """The recipe's path and the settings laid over it: `recipe.yaml --training.epochs 2`, in any order."""
    from sonneteer.errors import RecipeError

    paths, overrides, waiting = [], [], list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--"):
            paths.append(word)
        elif "=" in word or not waiting:
            overrides.append(word)
        else:
            overrides += [word, waiting.pop(0)]
    if len(paths) > 1:
        raise RecipeError(f"Name one recipe, and not {len(paths)}: {' '.join(paths)}. Settings begin with '--'.")
    return Path(paths[0] if paths else "recipe.yaml"), overrides


def as_json(record: Record) -> Any:
    """A record as plain JSON, where a figure without a bound is null."""
    return json.loads(record.model_dump_json())
