"""The commands of API keys: add one, list them, revoke one. Servers that run already take notice at once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from sonneteer.cli.options import WORKSPACE, Json, Workspace, begin_session
from sonneteer.cli.session import Outcome, as_json

Name = Annotated[str, typer.Argument(help="Whose key it is.", metavar="NAME")]


def add_key(
    context: typer.Context,
    name: Name,
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
    """Make an API key. It is shown once, now."""
    begin_session(context, workspace, json)
    from sonneteer.serving import create_key
    from sonneteer.store import Store

    secret = create_key(Store(workspace).keys, name, role, requests, tokens)
    text = Text(f"{secret}\n\nKeep it: it is not shown again. Only its hash is kept.")
    return Outcome({"name": name, "role": role, "key": secret}, [text])


def list_keys(context: typer.Context, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """List the API keys with their roles and limits."""
    begin_session(context, workspace, json)
    from sonneteer.store import Store

    known = Store(workspace).keys.all()
    table = Table("name", "role", "requests a minute", "tokens a minute", "since", box=None)
    for each in known:
        limits = [str(limit or "any") for limit in (each.requests_per_minute, each.tokens_per_minute)]
        table.add_row(each.name, each.role, *limits, f"{each.created_at:%Y-%m-%d}")
    told = [{**as_json(each), "sha256": None} for each in known]
    return Outcome({"keys": told}, [table if known else Text("There is no key yet: sonneteer key add NAME")])


def revoke_key(context: typer.Context, name: Name, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Let an API key open nothing any more."""
    begin_session(context, workspace, json)
    from sonneteer.store import Store

    Store(workspace).keys.remove(name)
    return Outcome({"revoked": name}, [Text(f"The key '{name}' opens nothing any more.")])
