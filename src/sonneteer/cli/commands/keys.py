"""The command of API keys: add one, list them, revoke one. Servers that run already take notice at once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from sonneteer.cli.options import WORKSPACE, Json, Workspace, begin_session
from sonneteer.cli.session import Outcome, as_json

Action = Literal["add", "list", "revoke"]


def key(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help="What to do.", metavar="add|list|revoke")],
    name: Annotated[str | None, typer.Argument(help="Whose key it is.", metavar="[NAME]")] = None,
    role: Annotated[
        Literal["admin", "client", "reviewer"],
        typer.Option("--role", help="A client asks, a reviewer gives feedback, an admin may do all."),
    ] = "client",
    requests: Annotated[
        int | None, typer.Option("--requests-per-minute", min=1, metavar="N", help="Without it: as many as it likes.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens-per-minute", min=1, metavar="N", help="Read and written ones together.")
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Add, list or revoke the API keys of a workspace. A key itself is shown once, when it is made."""
    begin_session(context, workspace, json)
    from sonneteer.serving import create_key
    from sonneteer.store import Store

    ring = Store(workspace).keys
    if action == "list":
        known = ring.all()
        table = Table("name", "role", "requests a minute", "tokens a minute", "since", box=None)
        for each in known:
            limits = [str(limit or "any") for limit in (each.requests_per_minute, each.tokens_per_minute)]
            table.add_row(each.name, each.role, *limits, f"{each.created_at:%Y-%m-%d}")
        told = [{**as_json(each), "sha256": None} for each in known]
        return Outcome({"keys": told}, [table if known else Text("There is no key yet: sonneteer key add NAME")])
    if name is None:
        raise typer.BadParameter(f"`key {action}` needs a NAME.")
    if action == "revoke":
        ring.remove(name)
        return Outcome({"revoked": name}, [Text(f"The key '{name}' opens nothing any more.")])
    secret = create_key(ring, name, role, requests, tokens)
    text = Text(f"{secret}\n\nKeep it: it is not shown again. Only its hash is kept.")
    return Outcome({"name": name, "role": role, "key": secret}, [text])
