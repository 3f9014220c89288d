"""Commands between two trainings: what to do next, what was different, which answers must not come back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sonneteer.cli import pages
from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, begin_session, command_line, opened
from sonneteer.cli.session import Outcome, as_json
from sonneteer.errors import RecipeError
from sonneteer.records import Message


def advise(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """Say what to do next, most promising first, each with its evidence and what it may gain."""
    work = opened(context, workspace, json, words)
    from sonneteer import iteration
    from sonneteer.cli.iterate_pages import advice_page

    given = iteration.advise(work.loaded, work.store)
    return Outcome({"advice": [as_json(one) for one in given]}, advice_page(given))


def compare(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Ids of models, runs or reports.", metavar="A B [C ...]")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Show runs side by side, here and as a page: what was different, what it cost, what came of it."""
    begin_session(context, workspace, json)
    from sonneteer import iteration
    from sonneteer.cli.iterate_pages import comparison_page
    from sonneteer.evaluation import as_document
    from sonneteer.store import Store

    compared = iteration.compare(Store(workspace), ids)
    document = as_document(compared.entrants, compared.prices) | {"page": str(compared.page)}
    steps: dict[str, str | Path] = {"the same, to read and to print:": compared.page}
    return Outcome(document, [*comparison_page(compared), *pages.next_steps(steps)])


def add_case(
    context: typer.Context,
    words: Words = None,
    ask: Annotated[str | None, typer.Option("--ask", metavar="TEXT", help="What was asked.")] = None,
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help="The instructions, if there were any.")] = "",
    exchange: Annotated[
        str | None, typer.Option("--exchange", metavar="ID", help="A live answer that was bad, by its message's id.")
    ] = None,
    bad: Annotated[str | None, typer.Option("--bad", metavar="TEXT", help="What the model answered.")] = None,
    good: Annotated[str | None, typer.Option("--good", metavar="TEXT", help="What it should have answered.")] = None,
    must: Annotated[
        list[str] | None, typer.Option("--must", metavar="PHRASE", help="A good answer holds this. May come again.")
    ] = None,
    must_not: Annotated[
        list[str] | None, typer.Option("--must-not", metavar="PHRASE", help="No good answer holds this.")
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Keep a confirmed bad answer: every later evaluation asks again, and what was fixed once has to stay fixed."""
    work = opened(context, workspace, json, words)
    from sonneteer import iteration
    from sonneteer.evaluation import Mistake

    if exchange is not None:
        mistake = iteration.mistake_in(work.loaded, work.store, exchange, good)
    elif not ask or bad is None or good is None:
        raise RecipeError(
            "A case needs what was asked, the bad answer and a good one: --ask, --bad and --good; or --exchange with "
            "the id of an answer that was written down."
        )
    else:
        asked = [Message(role="system", text=system)] if system else []
        mistake = Mistake((*asked, Message(role="user", text=ask)), bad, good)
    mistake = mistake._replace(must=tuple(must or ()), must_not=tuple(must_not or ()))
    added = iteration.add_case(work.loaded, work.store, mistake)
    said = Text(f"Kept: {added.id}. Every later evaluation asks this again.")
    steps = {"is it mended?": command_line("evaluate", words, workspace)}
    return Outcome({"case": as_json(added)}, [said, *pages.next_steps(steps)])


def list_cases(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """List the bad answers that are kept, with the good ones."""
    work = opened(context, workspace, json, words)
    from sonneteer import iteration
    from sonneteer.cli.iterate_pages import cases_page

    known = iteration.cases(work.loaded, work.store)
    return Outcome({"cases": [as_json(one) for one in known]}, cases_page(known))
