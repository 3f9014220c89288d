"""What the commands have in common: their options, how they begin, and the command that comes next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sonneteer.cli.session import Session, Work

WORKSPACE = Path("workspace")


def _given_reason(reason: str | None) -> str | None:
    """The words after `--allow`. Raises BadParameter where there are none."""
    if reason is not None and not reason.strip():
        raise typer.BadParameter("Say why: the reason goes into the audit log.")
    return reason


Words = Annotated[list[str] | None, typer.Argument(metavar="RECIPE [--SETTING VALUE]", hidden=True)]
Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        envvar="SONNETEER_WORKSPACE",
        help="Where data sets, models and reports are kept.",
    ),
]
Allow = Annotated[
    str | None,
    typer.Option(
        "--allow",
        metavar="REASON",
        callback=_given_reason,
        help="Do it whatever speaks against it. The reason is logged.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="VERSION", help="Which version, such as support-2. Without it: see above."),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON document for machines instead of words.")
]


def begin_session(context: typer.Context, workspace: Path, is_json: bool) -> Session:
    """The session that the command line opened, told what this command is."""
    session: Session = context.obj
    session.begin(context.command_path.removeprefix("sonneteer "), workspace, is_json)
    named = (one.opts[0] for one in context.command.params if one.opts[0].startswith("--"))
    session.own_options = tuple(name for name in named if name != "--help")
    return session


def opened(
    context: typer.Context, workspace: Path, is_json: bool, words: Sequence[str] | None, *, begins: bool = True
) -> Work:
    """The recipe that the words name, with the settings laid over it, and the workspace; `begins` also makes one."""
    return begin_session(context, workspace, is_json).open(words or [], begins=begins)


def command_line(name: str, words: Sequence[str] | None, workspace: Path = WORKSPACE) -> str:
    """The next command to give, with the same recipe, settings and workspace."""
    place = [] if workspace == WORKSPACE else ["--workspace", str(workspace)]
    return shlex.join(["sonneteer", name, *(words or []), *place])
