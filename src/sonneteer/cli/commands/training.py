"""Commands of the training room: what it will take, which settings are best, and the training itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sonneteer.cli import pages
from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, command_line, opened
from sonneteer.cli.session import ExitCode, Outcome, as_json


def plan(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Say what training will take before it begins: tokens, memory, time, cost; and whether it fits this machine."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle
    from sonneteer.cli.plan_page import plan_page

    made = lifecycle.plan(*work)
    exit_code = ExitCode.MUST_CHANGE if made.problems else ExitCode.DONE
    prices = work.store.root / "prices.yaml"
    return Outcome({"plan": as_json(made), "prices": str(prices)}, plan_page(made, prices), exit_code)


def vocabulary(
    context: typer.Context,
    words: Words = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Write the proposed words to a file, to choose among them."),
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say what the domain's words cost in tokens, and which would save most as a token of their own."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle
    from sonneteer.cli.vocabulary_page import vocabulary_page, write_words

    report = lifecycle.vocabulary(*work)
    page = vocabulary_page(report, is_adapter=work.loaded.recipe.training.method == "lora")
    document: dict[str, Any] = {"vocabulary": as_json(report)}
    if write is not None:
        write_words(report, write)
        document["words"] = str(write)
        page += pages.next_steps({"strike out what is no term, and name it in base.vocabulary.terms:": write})
    return Outcome(document, page)


def search(
    context: typer.Context,
    words: Words = None,
    write: Annotated[
        bool, typer.Option("--write", metavar="", help="Write the best settings into the recipe itself.")
    ] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Try settings, and write a recipe with the best ones beside yours. The same command goes on."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle
    from sonneteer.cli.search_page import search_page
    from sonneteer.recipe.rewrite import beside, rewrite

    found = lifecycle.search(*work)
    better = rewrite(work.loaded, found.recipe, beside(work.loaded, in_place=write))
    steps: dict[str, str | Path] = {"the recipe with these settings:": better}
    steps |= {"all of it, to read:": found.page} if found.page else {}
    steps["build and prove it:"] = command_line("run", [str(better)], workspace)
    document: dict[str, Any] = {"recipe": str(better)}
    if found.report:
        document |= {"report": as_json(found.report), "page": str(found.page)}
    if found.rates:
        document |= {"range_test": as_json(found.rates)}
    return Outcome(document, [*search_page(found), *pages.next_steps(steps)])


def train(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Train the model; prepares the data first. After an interruption the same command goes on."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle

    model = lifecycle.train(*work)
    steps = {"trained:": f"{model.id}", "is it better?": command_line("evaluate", words, workspace)}
    return Outcome({"model": as_json(model)}, pages.next_steps(steps))
