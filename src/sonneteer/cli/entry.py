"""Run one command line, and turn whatever happens into words and an exit code."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from typer import TyperException

from sonneteer.cli.app import app
from sonneteer.cli.session import ExitCode, Outcome, Session
from sonneteer.errors import RecipeError, SonneteerError

GO_ON = "Interrupted. What is done is kept: the same command goes on from here."
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def main(words: Sequence[str] | None = None) -> int:
    """The command `sonneteer`. Returns the exit code."""
    given = list(sys.argv[1:] if words is None else words)
    atexit.register(gc.freeze)  # or Python looks through every object several times, for seconds, before it ends
    session = Session()
    session.is_json = "--json" in given  # so that a mistyped command line, too, is answered in JSON
    with session.screen:
        try:
            return int(_run(given, session))
        except KeyboardInterrupt:
            return int(session.fail(ExitCode.INTERRUPTED, [GO_ON]))
        except BrokenPipeError:  # whoever read our output has gone
            with contextlib.suppress(OSError):  # Python flushes on its way out, and must not fail then
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(ExitCode.DONE)


def _run(words: list[str], session: Session) -> ExitCode:
    try:
        done = app(with_count(words) or ["--help"], standalone_mode=False, obj=session, prog_name="sonneteer")
    except RecipeError as problem:
        return session.fail(ExitCode.MUST_CHANGE, problem.problems)
    except SonneteerError as problem:
        return session.fail(ExitCode.MUST_CHANGE, str(problem).splitlines())
    except TyperException as problem:
        said = problem.format_message().replace("Value error, ", "").rstrip(".")
        asked = getattr(problem, "ctx", None)  # where the words do not fit; None where it is not known
        where = asked.command_path if asked else "sonneteer"
        stop = "" if said.endswith("?") else "."
        return session.fail(ExitCode.MUST_CHANGE, [f"{said}{stop} What there is: {where} --help"])
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as problem:
        return session.fail(*_explain(problem, session.workspace))
    if isinstance(done, Outcome):
        return session.finish(done)
    if done == ExitCode.INTERRUPTED:
        return session.fail(ExitCode.INTERRUPTED, [GO_ON])
    return ExitCode(done or 0)


def with_count(words: Sequence[str]) -> list[str]:
    """`--show` alone means `--show 3`."""
    following = [*words, ""][1:]
    return [
        "--show=3" if word == "--show" and not after.isdigit() else word
        for word, after in zip(words, following, strict=True)
    ]


def _explain(problem: Exception, workspace: Path) -> tuple[ExitCode, list[str]]:
    """A full disk is the user's to mend. Anything else that got this far is our mistake, and goes to a file."""
    if isinstance(problem, OSError) and problem.errno in FULL:
        return ExitCode.MUST_CHANGE, [f"The disk is full: {problem}. Make room; the same command goes on from here."]
    if isinstance(problem, OSError) and problem.errno in FORBIDDEN:
        return ExitCode.MUST_CHANGE, [f"Not allowed: {problem}. Change the permission, or use another folder."]
    if isinstance(problem, MemoryError):
        return ExitCode.MUST_CHANGE, [
            "The memory is full. Make training.micro_batch_tokens or the batch sizes smaller."
        ]
    from sonneteer.privacy import masked

    said = masked(f"{type(problem).__name__}: {' '.join(str(problem).split())}")
    return ExitCode.BROKEN, [f"Something broke that should not: {said}. {_keep_traceback(problem, workspace)}"]


def _keep_traceback(problem: Exception, workspace: Path) -> str:
    """Write it down in the workspace, or in the system's temporary folder; where both are closed, say it."""
    from sonneteer.privacy import masked

    text = masked("".join(traceback.format_exception(problem)))
    name = f"error-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    for folder in (workspace / "logs", Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
            return f"The details are in {folder / name}"
    return text
