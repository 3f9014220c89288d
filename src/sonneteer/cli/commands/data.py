"""Commands of the data room: prepare, ask what became of the rows, compare, describe, forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sonneteer.cli import account, pages
from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, begin_session, command_line, opened
from sonneteer.cli.session import ExitCode, Outcome, as_json, store_at


def synthesize(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """Let a teacher write examples from your documents, prompts or examples. The same command goes on."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle

    made = lifecycle.synthesize(*work)
    steps: dict[str, str | Path] = {"name it in data.sources:": made.target}
    steps["then:"] = command_line("prepare", words, workspace)
    document = {**made._asdict(), "target": str(made.target)}
    return Outcome(document, [*pages.synthesis_lines(made), *(pages.next_steps(steps) if made.examples else [])])


def prepare(
    context: typer.Context,
    words: Words = None,
    show: Annotated[
        int | None,
        typer.Option("--show", min=1, metavar="[N]", help="Also show N examples (3) with the learned tokens coloured."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", metavar="", help="Also prove on the frozen files that no side knows another."),
    ] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Read and check the data, split it, and say what became of every row."""
    work = opened(context, workspace, json, words)
    from sonneteer import preparation

    dataset = preparation.prepare(*work)
    document: dict[str, Any] = {"dataset": as_json(dataset)}
    page = [pages.ledger_page(dataset)]
    exit_code = ExitCode.DONE
    if check:
        proof = preparation.check(work.loaded, work.store, dataset, work.progress)
        document["proof"] = account.proof_document(proof)
        page += account.proof_page(proof)
        exit_code = ExitCode.DONE if proof.is_clean else ExitCode.MUST_CHANGE
    if show:
        from sonneteer import lifecycle

        examples = lifecycle.show(work.loaded, work.store, dataset, show)
        document["examples"] = [[{"token": token, "is_learned": learned} for token, learned in one] for one in examples]
        page += pages.token_page(examples)
    return Outcome(document, page, exit_code)


def ledger(
    context: typer.Context,
    words: Words = None,
    fate: Annotated[
        str | None, typer.Option("--fate", metavar="FATE", help="Only rows of this fate, such as dropped.")
    ] = None,
    about: Annotated[
        str | None, typer.Option("--about", metavar="WORDS", help="Only rows of which this is said, such as label.")
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, metavar="N", help="Rows of each fate to list.")] = 3,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say what became of single source rows, and why; after a preparation that failed, too."""
    work = opened(context, workspace, json, words)
    from sonneteer import preparation

    found = preparation.ledger(*work)
    rows = account.rows_of_fate(found.entries, fate, about)
    document = {"is_frozen": not found.problem, "problem": found.problem, **account.rows_document(rows, show)}
    page = [*account.refusal_page(found.problem), *account.rows_page(rows, show)]
    return Outcome(document, page, ExitCode.MUST_CHANGE if found.problem else ExitCode.DONE)


def card(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Write the data card: one page on sources, fates, splits, topics and groups, and its figures as JSON."""
    work = opened(context, workspace, json, words)
    from sonneteer import preparation

    written = preparation.card(*work)
    steps: dict[str, str | Path] = {"to read and to hand on:": written.page, "its figures:": written.figures}
    return Outcome({"page": str(written.page), "figures": str(written.figures)}, pages.next_steps(steps))


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="A data set's id, as `prepare` shows it.", metavar="A")],
    after: Annotated[str, typer.Argument(help="Another one's.", metavar="B")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say what changed between two data sets: sources, fates, examples that came, went or moved."""
    begin_session(context, workspace, json)
    from sonneteer import preparation

    found = preparation.diff(store_at(workspace), before, after)
    return Outcome({"changes": [change._asdict() for change in found]}, account.changes_page(found))


def forget(
    context: typer.Context,
    person: Annotated[str, typer.Argument(help="The value of the rows' tag `person`.", metavar="PERSON_ID")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Take a person's rows out of all that was derived from them, and name the models to train again."""
    begin_session(context, workspace, json)
    from sonneteer.data import forget as forget_person

    gone = forget_person(store_at(workspace), person)
    return Outcome(gone._asdict(), pages.forgotten_lines(gone))


def show_audit(context: typer.Context, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Show who did what when in the workspace."""
    begin_session(context, workspace, json)
    from sonneteer.cli.audit import show_log

    return show_log(store_at(workspace))


def verify_audit(context: typer.Context, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Verify that nobody tampered with the log or with the records that it tells of."""
    begin_session(context, workspace, json)
    from sonneteer.cli.audit import verify_log

    return verify_log(store_at(workspace))
