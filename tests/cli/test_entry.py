"""Whatever goes wrong ends in words and an exit code."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from sonneteer.cli.entry import with_count
from sonneteer.errors import BusyError, DataError, RecipeError
from tests.cli.conftest import Command, Lifecycle


def test_a_problem_of_ours_is_told_without_a_traceback(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = DataError("a.jsonl, line 3: the last message is from 'user'.")
    said = sonneteer("prepare")
    assert said.code == 3
    assert said.err.splitlines()[-1] == "a.jsonl, line 3: the last message is from 'user'."
    assert said.out == ""


def test_all_problems_reach_machines_one_by_one(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = RecipeError(["first", "second"])
    said = sonneteer("train", "--json")
    assert said.code == 3
    assert said.document == {
        "command": "train",
        "status": "change something",
        "exit_code": 3,
        "problems": ["first", "second"],
    }
    assert said.err == ""


def test_a_sentence_stays_on_one_line_however_long(sonneteer: Command, stages: Lifecycle) -> None:
    sentence = "word " * 100 + "end."
    stages.problem = BusyError(sentence)
    assert sentence in sonneteer("train").err


def test_markup_in_a_problem_is_text(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = DataError("[red]not markup[/red] [1, 2]")
    assert "[red]not markup[/red] [1, 2]" in sonneteer("train").err


def test_an_interruption_says_that_the_same_command_goes_on(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = KeyboardInterrupt()
    said = sonneteer("train")
    assert said.code == 130
    assert "the same command goes on from here" in said.err
    assert sonneteer("train", "--json").document["status"] == "interrupted"


def test_the_unexpected_leaves_a_traceback_in_the_workspace_and_one_sentence(
    sonneteer: Command, stages: Lifecycle, folder: Path
) -> None:
    stages.problem = ZeroDivisionError("by nothing")
    said = sonneteer("train")
    assert said.code == 1
    (log,) = (folder / "workspace" / "logs").iterdir()
    sentence = said.err.splitlines()[-1]
    assert sentence.startswith("Something broke that should not: ZeroDivisionError: by nothing.")
    assert str(log.relative_to(folder)) in sentence
    assert "Traceback" not in said.err
    assert "raise self.problem" in log.read_text()


def test_where_the_workspace_cannot_be_written_the_traceback_goes_to_the_temporary_folder(
    sonneteer: Command, stages: Lifecycle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    (folder / "workspace").mkdir()
    (folder / "workspace" / "logs").write_text("in the way")
    stages.problem = ZeroDivisionError()
    assert sonneteer("train").code == 1
    assert len(list(folder.glob("error-*.log"))) == 1


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "Not allowed"),
        (MemoryError(), "The memory is full"),
    ],
)
def test_what_the_user_can_mend_is_no_mistake_of_ours(
    sonneteer: Command, stages: Lifecycle, problem: Exception, words: str
) -> None:
    stages.problem = problem
    said = sonneteer("train")
    assert said.code == 3
    assert words in said.err


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (("fly",), "sonneteer"),
        (("prepare", "--show", "0"), "sonneteer prepare"),
        (("export", "--to", "other"), "sonneteer export"),
        (("init",), "sonneteer init"),
        (("vault", "make"), "sonneteer vault make"),
    ],
)
def test_a_mistyped_command_line_is_the_users_to_change(
    sonneteer: Command, words: tuple[str, ...], help_of: str
) -> None:
    said = sonneteer(*words)
    assert said.code == 3
    assert f"What there is: {help_of} --help" in said.err
    assert "Value error" not in said.err
    assert sonneteer(*words, "--json").document["exit_code"] == 3


def test_a_reader_that_has_gone_is_no_problem(sonneteer: Command, stages: Lifecycle) -> None:
    stages.problem = BrokenPipeError()
    assert sonneteer("train").code == 0


def test_python_does_not_look_through_all_that_is_in_memory_before_it_ends() -> None:
    program = """
import atexit, gc
from sonneteer.cli import main
atexit.register(lambda: print(gc.get_freeze_count() > 0))
main(["--version"])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["prepare", "--show"], ["prepare", "--show=3"]),
        (["prepare", "--show", "--json"], ["prepare", "--show=3", "--json"]),
        (["prepare", "--show", "5"], ["prepare", "--show", "5"]),
        ([], []),
    ],
)
def test_show_alone_means_three(words: list[str], expected: list[str]) -> None:
    assert with_count(words) == expected
