"""Commands that decide: is it better, is it the same that was trained, shall it be the champion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from sonneteer.cli import pages
from sonneteer.cli.options import WORKSPACE, Allow, Json, Model, Words, Workspace, begin_session, command_line, opened
from sonneteer.cli.session import ExitCode, Outcome, Work, as_json

if TYPE_CHECKING:
    from sonneteer.records import Report


def evaluate(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """Compare base and tuned model on the sealed test examples, and give the verdict. Trains first if needed."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle

    report = lifecycle.evaluate(*work)
    return verdict_outcome(work, report, words, workspace)


def judge(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE) -> Outcome:
    """Show pairs of answers without telling whose they are, and keep which you prefer. Evaluate again to use them."""
    session = begin_session(context, workspace, False)
    work = session.open(words or [])
    from sonneteer import iteration
    from sonneteer.cli.judging import judge_pairs

    ballot = iteration.pairs_to_judge(work.loaded, work.store)
    judged = judge_pairs(ballot, session.out)
    left = len(ballot.open_pairs())
    said = Text(f"{pages.count(judged, 'pair')} judged now, {left} left.")
    steps = {"what it means:": command_line("evaluate", words, workspace)}
    return Outcome({"judged": judged, "left": left}, [said, *pages.next_steps(steps)])


def certify(
    context: typer.Context,
    words: Words = None,
    model: Model = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Prove that the newest model that was not refused, as it is served, is the one that was trained."""
    work = opened(context, workspace, json, words)
    from sonneteer import lifecycle

    certificate = lifecycle.certify(*work, model)
    code = ExitCode.DONE if certificate.is_valid else ExitCode.MUST_CHANGE
    return Outcome({"certificate": as_json(certificate)}, [pages.certificate_page(certificate)], code)


def promote(
    context: typer.Context,
    words: Words = None,
    model: Model = None,
    allow: Allow = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Make the newest model that was not refused the champion. It has to be better, and certified."""
    work = opened(context, workspace, json, words)
    from sonneteer import promotion

    wish = promotion.promote(work.loaded, work.store, allow, model)
    document = {"model": as_json(wish.model), "refusals": wish.refusals, "is_promoted": wish.is_done}
    code = ExitCode.DONE if wish.is_done else (pages.VERDICTS[wish.verdict][1] or ExitCode.MUST_CHANGE)
    return Outcome(document, pages.promotion_page(wish.model.id, wish.refusals, wish.is_done), code)


def _steps_of(work: Work, report: Report, words: list[str], workspace: Path) -> dict[str, str]:
    """What to do with the version that was judged: the first is in force at once, a later one waits for promotion."""
    from sonneteer.records import ModelVersion

    made = [model.id for model in work.store.find(ModelVersion, run_id=report.run_id) if model.number > 1]
    if not made:
        return {
            "talk with it:": command_line("chat", words, workspace),
            "serve it:": command_line("serve", words, workspace),
        }
    steps = {"talk with it:": "chat", "prove it:": "certify", "make it the champion:": "promote"}
    named = [*words, "--model", made[0]]
    return {what: command_line(name, named, workspace) for what, name in steps.items()}


def verdict_outcome(work: Work, report: Report, words: Sequence[str] | None, workspace: Path) -> Outcome:
    """The verdict as a page with the next steps; its dossier is written on the way."""
    from sonneteer import lifecycle

    dossier = lifecycle.dossier(work.loaded, work.store, report)
    steps: dict[str, str | Path] = {"all of it, to read and to hand on:": dossier}
    steps |= _steps_of(work, report, list(words or []), workspace)
    document = {"verdict": report.verdict, "report": as_json(report), "dossier": str(dossier)}
    page = [pages.verdict_page(report), *pages.next_steps(steps)]
    return Outcome(document, page, pages.VERDICTS[report.verdict][1])
