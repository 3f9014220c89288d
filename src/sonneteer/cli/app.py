"""The commands and what they say of themselves."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from sonneteer import __version__
from sonneteer.cli import account, pages
from sonneteer.cli.session import ExitCode, Outcome, Session, Work, as_json

if TYPE_CHECKING:
    from sonneteer.records import Report

ENDING = """
Begin with: [cyan]sonneteer init support example[/cyan], and then [cyan]sonneteer run example[/cyan]

Exit codes: 0 done, 2 not better (do not ship), 3 you have to change something, 4 cannot tell with so few examples, \
130 interrupted (the same command goes on), 1 a mistake of ours.
"""

app = typer.Typer(
    name="sonneteer",
    help="Turn your records into a language model that is proven better than its base, and put it behind an API.",
    epilog=ENDING,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
FOLLOWS_A_RECIPE: Any = {  # settings of the recipe look like options that no command knows
    "context_settings": {"ignore_unknown_options": True},
    "epilog": "RECIPE is the recipe's file, or its folder: ./recipe.yaml if you name none. Any setting can be laid "
    "over it: [cyan]--training.epochs 2[/cyan]",
}

Words = Annotated[list[str] | None, typer.Argument(metavar="RECIPE [--SETTING VALUE]", hidden=True)]
Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        envvar="SONNETEER_WORKSPACE",
        help="Where data sets, models and reports are kept.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON document for machines instead of words.")
]
Context = typer.Context
WORKSPACE = Path("workspace")


def _say_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"sonneteer {__version__}")
        raise typer.Exit()


@app.callback()
def sonneteer(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, metavar="", help="Print the version.")
    ] = False,
) -> None:
    """What stands before the command."""


@app.command(rich_help_panel="Begin")
def init(
    context: Context,
    kind: Annotated[str, typer.Argument(help="support, legal, medical or content", metavar="KIND", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write. Made if it is not there.", metavar="FOLDER")] = Path(),
    json: Json = False,
) -> Outcome:
    """Write a recipe with every setting explained, and examples that it learns from.

    Nothing that stands in the folder is ever overwritten.
    """
    from sonneteer.cli.start import write_start

    _session(context, WORKSPACE, json)
    start = write_start(kind, folder)
    steps: dict[str, str | Path] = {"the recipe:": start.recipe, "its examples:": start.examples}
    steps["build and prove it:"] = _command("run", [str(start.recipe)])
    already = [] if start.is_new else [Text("Both stand here already, just so; nothing was written.", style="yellow")]
    document = {"recipe": str(start.recipe), "examples": str(start.examples), "is_new": start.is_new}
    return Outcome(document, [*already, *pages.next_steps(steps)])


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def prepare(
    context: Context,
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
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    dataset = lifecycle.prepare(*work)
    document: dict[str, Any] = {"dataset": as_json(dataset)}
    page = [pages.ledger_page(dataset)]
    exit_code = ExitCode.DONE
    if check:
        proof = lifecycle.check(*work)
        document["proof"] = account.proof_document(proof)
        page += account.proof_page(proof)
        exit_code = ExitCode.DONE if proof.is_clean else ExitCode.MUST_CHANGE
    if show:
        examples = lifecycle.show(work.loaded, work.store, show, work.progress)
        document["examples"] = [[{"token": token, "is_learned": learned} for token, learned in one] for one in examples]
        page += pages.token_page(examples)
    return Outcome(document, page, exit_code)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def ledger(
    context: Context,
    words: Words = None,
    fate: Annotated[
        str | None, typer.Option("--fate", metavar="FATE", help="Only rows of this fate, such as dropped.")
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, metavar="N", help="Rows of each fate to list.")] = 3,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say what became of single source rows, and why."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    rows = account.rows_of_fate(lifecycle.ledger(*work), fate)
    return Outcome(account.rows_document(rows, show), account.rows_page(rows, show))


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def card(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Write the data card: one page on sources, fates, splits, topics and groups, and its figures as JSON."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    written = lifecycle.card(*work)
    steps: dict[str, str | Path] = {"to read and to hand on:": written.page, "its figures:": written.figures}
    return Outcome({"page": str(written.page), "figures": str(written.figures)}, pages.next_steps(steps))


@app.command(rich_help_panel="Step by step")
def diff(
    context: Context,
    before: Annotated[str, typer.Argument(help="A data set's id, as `prepare` shows it.", metavar="A")],
    after: Annotated[str, typer.Argument(help="Another one's.", metavar="B")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Say what changed between two data sets: sources, fates, examples that came, went or moved."""
    _session(context, workspace, json)
    from sonneteer import lifecycle
    from sonneteer.store import Store

    found = lifecycle.diff(Store(workspace), before, after)
    return Outcome({"changes": [change._asdict() for change in found]}, account.changes_page(found))


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def plan(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Say what training will take before it begins: tokens, memory, time, cost; and whether it fits this machine."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle
    from sonneteer.cli.plan_page import plan_page

    made = lifecycle.plan(*work)
    exit_code = ExitCode.MUST_CHANGE if made.problems else ExitCode.DONE
    prices = work.store.root / "prices.yaml"
    return Outcome({"plan": as_json(made), "prices": str(prices)}, plan_page(made, prices), exit_code)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def search(
    context: Context,
    words: Words = None,
    write: Annotated[
        bool, typer.Option("--write", metavar="", help="Write the best settings into the recipe itself.")
    ] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Try settings, and write a recipe with the best ones beside yours. The same command goes on."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle
    from sonneteer.cli.search_page import search_page
    from sonneteer.recipe.rewrite import beside, rewrite

    found = lifecycle.search(*work)
    better = rewrite(work.loaded, found.recipe, beside(work.loaded, in_place=write))
    steps: dict[str, str | Path] = {"the recipe with these settings:": better}
    steps |= {"all of it, to read:": found.page} if found.page else {}
    steps["build and prove it:"] = _command("run", [str(better)], workspace)
    document: dict[str, Any] = {"recipe": str(better)}
    if found.report:
        document |= {"report": as_json(found.report), "page": str(found.page)}
    if found.rates:
        document |= {"range_test": as_json(found.rates)}
    return Outcome(document, [*search_page(found), *pages.next_steps(steps)])


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def train(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Train the model; prepares the data first. After an interruption the same command goes on."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    model = lifecycle.train(*work)
    steps = {"trained:": f"{model.id}", "is it better?": _command("evaluate", words, workspace)}
    return Outcome({"model": as_json(model)}, pages.next_steps(steps))


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def evaluate(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Compare base and tuned model on the sealed test examples, and give the verdict. Trains first if needed."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    report = lifecycle.evaluate(*work)
    return _judged(work, report, words, workspace)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Begin")
def run(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Do the whole recipe: prepare, train, evaluate, and write the dossier for whoever decides."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    session.show(pages.ledger_page(lifecycle.prepare(*work)))
    report = lifecycle.run(*work)
    return _judged(work, report, words, workspace)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def judge(context: Context, words: Words = None, workspace: Workspace = WORKSPACE) -> Outcome:
    """Show pairs of answers without telling whose they are, and keep which you prefer. Evaluate again to use them."""
    session = _session(context, workspace, False)
    work = session.open(words or [])
    from sonneteer import lifecycle
    from sonneteer.cli.judging import judge_pairs

    ballot = lifecycle.pairs_to_judge(work.loaded, work.store)
    judged = judge_pairs(ballot, session.out)
    left = len(ballot.open_pairs())
    said = Text(f"{pages.count(judged, 'pair')} judged now, {left} left.")
    steps = {"what it means:": _command("evaluate", words, workspace)}
    return Outcome({"judged": judged, "left": left}, [said, *pages.next_steps(steps)])


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def certify(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Prove that the newest model, as it is served, is the one that was trained: tokens, template, weights, answers."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    certificate = lifecycle.certify(*work)
    code = ExitCode.DONE if certificate.is_valid else ExitCode.MUST_CHANGE
    return Outcome({"certificate": as_json(certificate)}, [pages.certificate_page(certificate)], code)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Step by step")
def promote(
    context: Context,
    words: Words = None,
    allow: Annotated[
        str | None,
        typer.Option("--allow", metavar="REASON", help="Promote whatever speaks against it. The reason is logged."),
    ] = None,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Make the newest model the champion. Refused unless it is better and certified."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    promotion = lifecycle.promote(work.loaded, work.store, allow)
    document = {"model": as_json(promotion.model), "refusals": promotion.refusals, "is_promoted": promotion.is_done}
    code = ExitCode.DONE if promotion.is_done else (pages.VERDICTS[promotion.verdict][1] or ExitCode.MUST_CHANGE)
    return Outcome(document, pages.promotion_page(promotion.model.id, promotion.refusals, promotion.is_done), code)


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Use")
def chat(
    context: Context,
    words: Words = None,
    model: Annotated[Literal["tuned", "base"], typer.Option("--model", help="Whom to talk to.")] = "tuned",
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
    session = _session(context, workspace, json)
    if json and ask is None:
        raise typer.BadParameter("--json prints one answer: say what to ask with --ask.")
    work = session.open(words or [])
    from sonneteer import lifecycle
    from sonneteer.chat import Options
    from sonneteer.cli.conversation import Conversation, talk, usual_system_text

    opened = lifecycle.open_chat(work.loaded, work.store, model)
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


@app.command(**FOLLOWS_A_RECIPE, rich_help_panel="Use")
def serve(context: Context, words: Words = None, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Put the tuned model behind an API that the clients of Anthropic and OpenAI can talk to. Ctrl-C stops it."""
    session = _session(context, workspace, json)
    work = session.open(words or [])
    from sonneteer import lifecycle

    try:
        lifecycle.serve(*work)
    except KeyboardInterrupt:
        return Outcome({}, [Text("Stopped.", style="dim")], ExitCode.INTERRUPTED)
    return Outcome({})


@app.command(rich_help_panel="Begin")
def doctor(context: Context, workspace: Workspace = WORKSPACE, json: Json = False) -> Outcome:
    """Say what this machine can do: cores, memory, graphics card, software, disk."""
    from sonneteer.cli.doctor import examine, findings_page

    _session(context, workspace, json)
    findings = examine(workspace)
    is_able = all(finding.state != "bad" for finding in findings)
    document = {"findings": [finding._asdict() for finding in findings]}
    return Outcome(document, [findings_page(findings)], ExitCode.DONE if is_able else ExitCode.MUST_CHANGE)


@app.command(rich_help_panel="Use")
def forget(
    context: Context,
    person: Annotated[str, typer.Argument(help="The value of the rows' tag `person`.", metavar="PERSON_ID")],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Take a person's rows out of all that was derived from them, and name the models to train again."""
    _session(context, workspace, json)
    from sonneteer.data import forget as forget_person
    from sonneteer.store import Store

    gone = forget_person(Store(workspace), person)
    return Outcome(gone._asdict(), pages.forgotten_lines(gone))


@app.command(rich_help_panel="Use")
def audit(
    context: Context,
    action: Annotated[
        Literal["show", "verify"], typer.Argument(help="What to do with the log.", metavar="show|verify")
    ],
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> Outcome:
    """Show who did what when in the workspace, or verify that nobody tampered with it."""
    _session(context, workspace, json)
    from sonneteer.cli.audit import show_log, verify_log
    from sonneteer.store import Store

    return (show_log if action == "show" else verify_log)(Store(workspace))


def _session(context: Context, workspace: Path, is_json: bool) -> Session:
    """The session that the command line opened, told what this command is."""
    session: Session = context.obj
    session.begin(context.info_name or "", workspace, is_json)
    return session


def _judged(work: Work, report: Report, words: Sequence[str] | None, workspace: Path) -> Outcome:
    from sonneteer import lifecycle

    dossier = lifecycle.dossier(work.loaded, work.store, report)
    steps: dict[str, str | Path] = {"all of it, to read and to hand on:": dossier}
    steps |= {"talk with it:": _command("chat", words, workspace), "serve it:": _command("serve", words, workspace)}
    document = {"verdict": report.verdict, "report": as_json(report), "dossier": str(dossier)}
    page = [pages.verdict_page(report), *pages.next_steps(steps)]
    return Outcome(document, page, pages.VERDICTS[report.verdict][1])


def _command(name: str, words: Sequence[str] | None, workspace: Path = WORKSPACE) -> str:
    """The next command to give, with the same recipe, settings and workspace."""
    place = [] if workspace == WORKSPACE else ["--workspace", str(workspace)]
    return shlex.join(["sonneteer", name, *(words or []), *place])
