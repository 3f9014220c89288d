"""Commands that use the model: talk with it, put it behind an API."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from sonneteer.cli.options import WORKSPACE, Json, Words, Workspace, begin_session, opened
from sonneteer.cli.session import ExitCode, Outcome, as_json


def chat(
    context: typer.Context,
    words: Words = None,
    model: Annotated[
        str,
        typer.Option("--model", metavar="tuned|base|VERSION", help="Whom to talk to: tuned is the one in force."),
    ] = "tuned",
    ask: Annotated[
        str | None, typer.Option("--ask", metavar="TEXT", help="Ask this, print the answer, and stop.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system", metavar="TEXT", help="Instructions to the model. Without it: those of the training data."
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            min=0,
            max=2,
            metavar="NUMBER",
            help="0 always says the likeliest; 1 varies. Default: the recipe's.",
        ),
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Talk with the tuned model, or with its base to feel the difference."""
    session = begin_session(context, workspace, json)
    if json and ask is None:
        raise typer.BadParameter("--json prints one answer: say what to ask with --ask.")
    work = session.open(words or [])
    from sonneteer import lifecycle
    from sonneteer.chat import Options
    from sonneteer.cli.conversation import Conversation, talk, usual_system_text

    opened = lifecycle.open_chat(work.loaded, work.store, model, work.progress)
    serving = work.loaded.recipe.serving
    options = Options(
        max_tokens=min(serving.max_answer_tokens, Options().max_tokens),
        temperature=serving.temperature if temperature is None else temperature,
    )
    conversation = Conversation(opened, options, usual_system_text(work) if system is None else system)
    if ask is None:
        talk(conversation, session.out)
        return Outcome({})
    text = "".join(conversation.say(ask))
    return Outcome({"answer": as_json(conversation.last) if conversation.last else None}, [Text(text)])


def serve(context: typer.Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Put the tuned model behind an API that the clients of Anthropic and OpenAI can talk to. Ctrl-C stops it."""
    work = opened(context, workspace, json, words)
    from sonneteer.circle import live

    try:
        live.serve(*work)
    except KeyboardInterrupt:
        return Outcome({}, [Text("Stopped.", style="dim")], ExitCode.INTERRUPTED)
    return Outcome({})
