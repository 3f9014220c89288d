"""Commands after deployment: say what was good or bad, watch, learn from it, go back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from sonneteer.cli import pages
from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, begin_session, command_line, opened
from sonneteer.cli.session import ExitCode, Outcome, as_json, store_at

if TYPE_CHECKING:
    from sonneteer.records import Deployment


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
    from sonneteer.circle import voice

    said: dict[str, Any] = {
        "liked": liked,
        "stars": stars,
        "correction": correction,
        "label": label,
        "comment": comment,
    }
    if all(value is None for value in said.values()):
        raise typer.BadParameter("Say something of it: --good, --bad, --stars, --correction, --label or --comment")
    given = voice.say(store_at(workspace), {"message_id": message, **said})
    return Outcome({"feedback": as_json(given)}, [Text(f"Kept: {given.id} on exchange {given.exchange_id}.")])


def review(
    context: typer.Context,
    words: Words = None,
    most: Annotated[int, typer.Option("--most", min=1, metavar="N", help="Show at most so many.")] = 50,
    again: Annotated[
        bool, typer.Option("--again", metavar="", help="What was approved or refused before, to decide otherwise.")
    ] = False,
    workspace: Workspace = WORKSPACE,
) -> Outcome:
    """Look at exchanges: what many said alike, what users said, the least sure, the most different. Only what you
    approve is learned."""
    session = begin_session(context, workspace, False)
    work = session.open(words or [], begins=False)
    from sonneteer.circle import patterns, watching
    from sonneteer.cli.reviewing import review_cases, review_patterns

    found = (patterns.decided if again else patterns.waiting)(work.loaded, work.store)
    alike = review_patterns(found, work.store, session.out)
    if alike.is_stopped:
        cases = []
    elif again:
        cases = watching.reviewed(work.loaded, work.store, most)
    else:
        cases = watching.to_review(work.loaded, work.store, most, alike.left)
    pressed = review_cases(cases, work.store, session.out)
    done = sum(count for key, count in pressed.items() if key != "s")
    steps = {"learn from it:": command_line("improve", words, workspace)}
    said = [f"{alike.decided} of {pages.count(len(found), 'pattern')} decided on."] if found else []
    said += [] if alike.is_stopped else [f"{done} of {pages.count(len(cases), 'exchange')} reviewed."]
    return Outcome({"reviewed": done, "patterns": alike.decided}, [Text(" ".join(said)), *pages.next_steps(steps)])


def monitor(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """Say how the deployed model is doing: drift, feedback, bias. Exit code 2 means: train again."""
    work = opened(context, workspace, json, words, begins=False)
    from sonneteer.circle import watching
    from sonneteer.cli.health_page import health_page

    watched = watching.monitor(*work)
    codes = {"healthy": ExitCode.DONE, "retrain": ExitCode.NOT_BETTER, "cannot tell": ExitCode.CANNOT_TELL}
    steps: dict[str, str | Path] = {"all of it, to read:": watched.page}
    if watched.health.verdict == "retrain":
        steps["learn from it:"] = command_line("improve", words, workspace)
    untold = [Text(watched.untold, style="bold red")] if watched.untold else []
    page = [*health_page(watched.health), *untold, *pages.next_steps(steps)]
    document = {"health": as_json(watched.health), "page": str(watched.page), "untold": watched.untold}
    return Outcome(document, page, codes[watched.health.verdict])


def harvest(
    context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> Outcome:
    """Turn approved feedback into examples and regression cases; `improve` does this, too."""
    work = opened(context, workspace, json, words, begins=False)
    from sonneteer.circle import gathering

    gathered = gathering.harvest(work.loaded, work.store)
    told = ", ".join(f"{count} for {side}" for side, count in gathered.counts.items())
    said = Text(f"{gathered.new} new examples. There are now {told}, and {gathered.cases} regression cases.")
    steps: dict[str, str | Path] = {"they lie in:": gathered.folder}
    if gathered.patterns:
        said.append(f" {gathered.in_patterns} exchanges are held back in {pages.count(gathered.patterns, 'pattern')}.")
        steps["decide on them:"] = command_line("review", words, workspace)
    if gathered.held_back:
        said.append(f" {gathered.held_back} corrections hold masked personal data: write them anew in the review.")
    unproven = [Text(one, style="yellow") for one in gathered.unproven]
    return Outcome(gathered._asdict(), [said, *unproven, *pages.next_steps(steps)])


def improve(
    context: typer.Context,
    words: Words = None,
    if_needed: Annotated[
        bool,
        typer.Option("--if-needed", metavar="", help="Only if the health report or the champion's age asks for it."),
    ] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Train the next version from what people said. One that beats the champion goes on trial in the running server."""
    work = opened(context, workspace, json, words, begins=False)
    page: list[Text] = []
    if if_needed:
        from sonneteer.circle import watching

        health = watching.monitor(*work).health
        why = watching.needed_because(work.loaded, work.store, health.verdict)
        if why is None:
            said = f"Not needed: {health.verdict}."
            return Outcome({"outcome": "nothing to do", "health": health.verdict}, [Text(said)])
        page = [Text(f"Needed: {why}.")]
    from sonneteer.circle import learning
    from sonneteer.errors import BusyError

    try:
        made = learning.improve(*work)
    except BusyError as busy:
        if not if_needed:
            raise
        made = learning.Improvement("nothing to do", (str(busy),))  # a schedule comes again
    code = ExitCode.NOT_BETTER if made.outcome == "refused" else ExitCode.DONE
    named = f" ({made.model.id})" if made.model else ""
    page += [Text(f"{made.outcome.capitalize()}{named}"), *(Text(f"  {reason}") for reason in made.reasons)]
    steps: dict[str, str | Path] = {"all of it, to read:": made.dossier} if made.dossier else {}
    if made.outcome == "refused":
        steps["take back what should not be learned:"] = command_line("review", [*(words or []), "--again"], workspace)
    document = {"outcome": made.outcome, "reasons": made.reasons, "model": made.model and as_json(made.model)}
    document |= {"deployment": made.deployment and as_json(made.deployment), "dossier": made.dossier}
    return Outcome(document, [*page, *pages.next_steps(steps)], code)


def rollback(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name, as the recipe has it.", metavar="NAME")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="The reason, for the record.")] = "by hand",
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """End a trial, or bring the former champion back, in all running servers. Answers under way are finished."""
    begin_session(context, workspace, json)
    from sonneteer import deployments

    made = deployments.roll_back(store_at(workspace), name, because)
    return Outcome({"deployment": as_json(made)}, [Text(f"{made.champion_id} answers all of '{name}' again.")])


def deployment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name, as the recipe has it.", metavar="NAME")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say which version is live, which one is on trial, and how it came to that."""
    begin_session(context, workspace, json)
    from sonneteer import deployments
    from sonneteer.records import Deployment

    store = store_at(workspace)
    past = store.find(Deployment, name=name) or [deployments.current(store, name)]
    return Outcome({"deployments": [as_json(one) for one in past]}, [_line(one) for one in past])


def _line(one: Deployment) -> Text:
    trial = f", {one.candidate_id} in {one.phase}" if one.candidate_id else ""
    share = f" ({one.canary_share:.0%})" if one.phase == "canary" else ""
    if one.phase == "watched":
        share = f" watched ({one.previous_champion_id} still takes {one.held_back_share:.0%})"
    return Text(f"{one.created_at:%Y-%m-%d %H:%M:%S}  {one.champion_id}{trial}{share}  {one.because}")
