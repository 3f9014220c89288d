"""Commands after deployment: say what was good or bad, watch, learn from it, go back."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from sonneteer.cli.options import WORKSPACE, Json, Workspace, begin_session
from sonneteer.cli.session import Outcome, as_json


def feedback(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="The `id` of the message that the client got.", metavar="MESSAGE_ID")],
    liked: Annotated[bool | None, typer.Option("--good/--bad", metavar="", help="Thumbs up or down.")] = None,
    stars: Annotated[int | None, typer.Option("--stars", min=1, max=5, metavar="N", help="1 (bad) to 5.")] = None,
    correction: Annotated[
        str | None, typer.Option("--correction", metavar="TEXT", help="What the answer should have been.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="WORD", help="What is wrong, in your words.")] = None,
    comment: Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="Anything else.")] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say of an answer that it was good or bad, and what it should have been. Personal data is masked."""
    begin_session(context, workspace, json)
    from sonneteer import circle
    from sonneteer.store import Store

    said: dict[str, Any] = {"liked": liked, "stars": stars, "correction": correction, "label": label}
    given = circle.say(Store(workspace), {"message_id": message, "comment": comment, **said})
    return Outcome({"feedback": as_json(given)}, [Text(f"Kept: {given.id} on exchange {given.exchange_id}.")])
