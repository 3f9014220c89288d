"""The commands of the vault: make one, and undo pseudonyms with it. Each opening stands in the audit log."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from sonneteer.cli.options import WORKSPACE, Json, Workspace, begin_session
from sonneteer.cli.session import Outcome

if TYPE_CHECKING:
    from sonneteer.store import Store


File = Annotated[Path, typer.Argument(help="The vault's file, as `privacy.vault` names it.", metavar="FILE")]


def make(context: typer.Context, file: File, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Make the vault with a new key, under a passphrase of yours."""
    begin_session(context, workspace, json)
    from sonneteer.privacy import make_vault
    from sonneteer.store import Store

    store = Store(workspace)
    made = make_vault(file, _passphrase(file, is_new=True))
    store.note_deed("make the vault", f"vault/{made.id}", "")
    words = (
        f"{file} holds a new key. Name it in the recipe (privacy: vault: {file.name}), and keep the passphrase apart "
        "from it: without both, nobody can undo the pseudonyms."
    )
    return Outcome({"vault": made.id, "file": str(file)}, [Text(words)])


def reveal(
    context: typer.Context,
    file: File,
    pseudonyms: Annotated[list[str] | None, typer.Argument(help="Pseudonyms to undo.", metavar="PSEUDONYM...")] = None,
    kind: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Of which type they are, as in the recipe.")
    ] = "names",
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why you may know. It goes into the audit log.")
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Undo pseudonyms with the vault. The audit log tells who did, and why."""
    begin_session(context, workspace, json)
    from sonneteer.store import Store

    _check(pseudonyms, reason, kind)
    return _reveal(file, pseudonyms or [], kind, reason or "", Store(workspace))


def _check(pseudonyms: list[str] | None, reason: str | None, kind: str) -> None:
    """Raises RecipeError with all that is missing or wrong."""
    from sonneteer.errors import RecipeError
    from sonneteer.recipe.sections import PERSONAL_KINDS

    problems = [] if pseudonyms else ["Name the pseudonyms to undo, each in quotes."]
    problems += [] if reason else ["Say why you may know them: --reason TEXT. It goes into the audit log."]
    problems += (
        [] if kind in PERSONAL_KINDS else [f"--type {kind}: no such type. There are {', '.join(PERSONAL_KINDS)}."]
    )
    if problems:
        raise RecipeError(problems)


def _reveal(file: Path, pseudonyms: list[str], kind: str, reason: str, store: Store) -> Outcome:
    from sonneteer.privacy import Pseudonyms, open_vault

    opened = open_vault(file, _passphrase(file))
    # First the log and then the values: nobody sees one without a trace.
    store.note_deed("reveal pseudonyms", f"vault/{opened.id}", f"{len(pseudonyms)} of {kind}: {reason}")
    known = Pseudonyms(opened.key)
    found = {one: known.original(kind, one) for one in pseudonyms}
    page = [Text(f"{one}  is  {original}") for one, original in found.items()]
    doubt = "Whatever is no pseudonym of this vault leads to something, too: only your own sources can confirm it."
    return Outcome({"originals": found}, [*page, Text(doubt, style="dim")])


def _passphrase(file: Path, is_new: bool = False) -> bytes:
    """From the environment, or else from whoever sits at the terminal."""
    from sonneteer.errors import LockedError
    from sonneteer.privacy import given_passphrase

    try:
        return given_passphrase(os.environ, file)
    except LockedError:
        if not sys.stdin.isatty():
            raise
    given: str = typer.prompt(f"Passphrase of {file}", hide_input=True, confirmation_prompt=is_new, err=True)
    return given.encode()
