"""The table of commands, and what the whole says of itself."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Annotated, Any, NamedTuple

import typer

from sonneteer import __version__
from sonneteer.cli.commands import begin, circle, data, handing, iterate, keys, training, use, vault, verdict
from sonneteer.cli.session import Outcome

Command = Callable[..., Outcome]


class Group(NamedTuple):
    """A command of several: `sonneteer key add`, `sonneteer key list`."""

    name: str
    says: str
    commands: dict[str, Command]


COMMANDS: dict[str, list[Command | Group]] = {
    "Begin": [begin.init, begin.run, begin.doctor],
    "Step by step": [
        data.synthesize,
        data.prepare,
        data.ledger,
        data.card,
        data.diff,
        training.vocabulary,
        training.plan,
        training.search,
        training.train,
        verdict.evaluate,
        verdict.judge,
        verdict.certify,
        verdict.promote,
    ],
    "Watch and learn": [
        iterate.advise,
        iterate.compare,
        circle.feedback,
        circle.review,
        circle.monitor,
        circle.harvest,
        circle.improve,
        circle.deployment,
        circle.rollback,
        Group(
            "case",
            "Keep confirmed bad answers: every later evaluation asks again.",
            {"add": iterate.add_case, "list": iterate.list_cases},
        ),
    ],
    "Use": [
        use.chat,
        use.serve,
        handing.export,
        data.forget,
        Group(
            "key",
            "The API keys of a workspace. Servers that run take notice at once.",
            {"add": keys.add_key, "list": keys.list_keys, "revoke": keys.revoke_key},
        ),
        Group(
            "audit",
            "Who did what when in the workspace, and whether anybody tampered with that.",
            {"show": data.show_audit, "verify": data.verify_audit},
        ),
        Group(
            "vault",
            "The key of pseudonyms, and what stands behind them.",
            {"make": vault.make, "reveal": vault.reveal},
        ),
    ],
}
"""The commands by panel of `sonneteer --help`, in the order in which one needs them."""

ENDING = """
Begin with: [cyan]sonneteer init support example[/cyan], and then [cyan]sonneteer run example[/cyan]

Exit codes: 0 done, 2 not better (do not ship), 3 you have to change something, 4 cannot tell with so few examples, \
130 interrupted (the same command goes on), 1 a mistake of ours.
"""
FOLLOWS_A_RECIPE: Any = {  # settings of the recipe look like options that no command knows
    "context_settings": {"ignore_unknown_options": True},
    "epilog": "RECIPE is the recipe's file, or its folder: ./recipe.yaml if you name none. Any setting can be laid "
    "over it: [cyan]--training.epochs 2[/cyan]",
}

app = typer.Typer(
    name="sonneteer",
    help="Turn your records into a language model that is proven better than its base, and put it behind an API.",
    epilog=ENDING,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _add(place: typer.Typer, name: str, command: Command, panel: str | None = None) -> None:
    settings = FOLLOWS_A_RECIPE if "words" in signature(command).parameters else {}
    place.command(name, rich_help_panel=panel, **settings)(command)


for panel, entries in COMMANDS.items():
    for entry in entries:
        if isinstance(entry, Group):
            group = typer.Typer(help=entry.says, rich_markup_mode="rich")
            for name, command in entry.commands.items():
                _add(group, name, command)
            app.add_typer(group, name=entry.name, rich_help_panel=panel)
        else:
            _add(app, entry.__name__, entry, panel)


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
