"""Commands to begin with: a first recipe, the whole recipe, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sonneteer.cli import pages
from sonneteer.cli.commands.verdict import verdict_outcome
from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, begin_session, command_line
from sonneteer.cli.session import ExitCode, Outcome


def init(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="support, legal, medical or content", metavar="KIND", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write. Made if it is not there.", metavar="FOLDER")] = Path(),
    json: Json = False,
) -> Outcome:
    """Write a recipe with every setting explained, and examples that it learns from.

    Nothing that stands in the folder is ever overwritten.
    """
    from sonneteer.cli.start import write_start

    begin_session(context, WORKSPACE, json)
    start = write_start(kind, folder)
    steps: dict[str, str | Path] = {"the recipe:": start.recipe, "its examples:": start.examples}
    steps["build and prove it:"] = command_line("run", [str(start.recipe)])
    already = [] if start.is_new else [Text("Both stand here already, just so; nothing was written.", style="yellow")]
    document = {"recipe": str(start.recipe), "examples": str(start.examples), "is_new": start.is_new}
    return Outcome(document, [*already, *pages.next_steps(steps)])


def run(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Do the whole recipe: prepare, train, evaluate, and write the dossier for whoever decides."""
    session = begin_session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle, preparation

    session.show(pages.ledger_page(preparation.prepare(*work)))
    report = lifecycle.run(*work)
    return verdict_outcome(work, report, words, workspace)


def doctor(context: typer.Context, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Say what this machine can do: cores, memory, graphics card, software, disk."""
    from sonneteer.cli.doctor import examine, findings_page

    begin_session(context, workspace, json)
    findings = examine(workspace)
    is_able = all(finding.state != "bad" for finding in findings)
    document = {"findings": [finding._asdict() for finding in findings]}
    return Outcome(document, [findings_page(findings)], ExitCode.DONE if is_able else ExitCode.MUST_CHANGE)
