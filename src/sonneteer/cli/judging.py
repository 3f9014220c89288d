"""People as judges: pairs of answers, blind, one key each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from sonneteer.evaluation import Ballot, Pair
    from sonneteer.records import Choice

KEYS = "1 the first, 2 the second, t a tie, q stop"


def judge_pairs(ballot: Ballot, out: Console, read: Callable[[str], str] = input) -> int:
    """Show pair after pair until none is left or the person stops; returns how many were judged now."""
    waiting = ballot.open_pairs()
    for number, pair in enumerate(waiting, 1):
        _show(pair, f"{number} of {len(waiting)}", out)
        key = _key(read)
        if key == "q":
            return number - 1
        ballot.keep(pair, _choice(pair, key))
    return len(waiting)


def _key(read: Callable[[str], str]) -> str:
    """One of the keys; asked again until it is one. The end of the input stops."""
    while True:
        try:
            key = read(f"Which is better? ({KEYS}): ").strip().lower()
        except EOFError:
            return "q"
        if key in ("1", "2", "t", "q"):
            return key


def _choice(pair: Pair, key: str) -> Choice:
    if key == "t":
        return "tie"
    return "tuned" if (key == "1") == pair.is_tuned_first else "base"


def _show(pair: Pair, place: str, out: Console) -> None:
    """The question and both answers, and nothing that tells whose they are."""
    for message in pair.example.prompt.messages:
        if message.role != "system":
            out.print(Text.assemble((f"{message.role}: ", "dim"), message.text))
    first, second = (pair.tuned, pair.base) if pair.is_tuned_first else (pair.base, pair.tuned)
    out.print(Panel(Text(first or "(nothing)"), title=f"1  ({place})", title_align="left"))
    out.print(Panel(Text(second or "(nothing)"), title="2", title_align="left"))
