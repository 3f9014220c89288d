"""What the account of a data set shows: single rows, the proof of its splits, and what changed between two."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sonneteer.cli.pages import FATES, count
from sonneteer.cli.session import as_json

if TYPE_CHECKING:
    from sonneteer.data import Change, Proof
    from sonneteer.records import LedgerEntry

PARTICULAR = re.compile(r"\S+:\d+|\d[\d.,]*%?|\B'[^']*'\B")
"""A place, a number or a value, by which reasons of one kind differ."""
HEAD = re.compile(r"(message …: )?[^:]{0,90}")

Rows = Mapping[str, Sequence["LedgerEntry"]]


def rows_of_fate(entries: Sequence[LedgerEntry], fate: str | None, about: str | None = None) -> Rows:
    """The entries by their fates, or those of one fate; only those with these words in a reason or a remark.

    Raises RecipeError for a fate that there is not.
    """
    from sonneteer.errors import RecipeError

    wanted = fate.replace(" ", "_").replace("-", "_") if fate else None
    if wanted and wanted not in FATES:
        raise RecipeError(f"--fate {fate}: no such fate. There are {', '.join(FATES)}.")
    by_fate: dict[str, list[LedgerEntry]] = {name: [] for name in FATES if wanted in (None, name)}
    for entry in entries:
        said = "\n".join((entry.reason, *entry.remarks))
        if entry.fate in by_fate and (about or "").lower() in said.lower():
            by_fate[entry.fate].append(entry)
    return {name: rows for name, rows in by_fate.items() if rows or wanted}


def rows_document(rows: Rows, show: int) -> dict[str, Any]:
    """For machines: how many there are of each fate and rule, and the first of them."""
    return {
        "fates": {
            fate: {"rows": len(some), "why": _reasons(some), "shown": [as_json(entry) for entry in some[:show]]}
            for fate, some in rows.items()
        }
    }


def refusal_page(problem: str) -> list[RenderableType]:
    """For people: that these rows are in no data set, and why. Nothing where they are in one."""
    if not problem:
        return []
    said = [Text(f"  {line}", style="red") for line in problem.splitlines()]
    return [Text("Not frozen: there is no data set of these rows, because", style="bold red"), *said, Text()]


def rows_page(rows: Rows, show: int) -> list[RenderableType]:
    """For people: each fate with its reasons and its first rows."""
    page: list[RenderableType] = [] if rows else [Text("There is no such row.")]
    for fate, some in rows.items():
        colour, words = FATES[fate]  # type: ignore[index]
        heading = (fate.replace("_", " "), f"bold {colour}")
        page.append(Text.assemble(heading, f"  {count(len(some), 'row')}: {words}" if some else "  no row"))
        for reason, rows_so in list(_reasons(some).items())[:8] if len(some) > show else []:
            page.append(Text(f"  {rows_so:>7,} x {reason}", style="dim"))
        for entry in some[:show]:
            said = "; ".join(filter(None, (entry.reason, *entry.remarks)))
            page.append(Text(f"  {entry.source}:{entry.row}{'  ' + said if said else ''}"))
    return page


def _reasons(entries: Sequence[LedgerEntry]) -> dict[str, int]:
    """Reasons and remarks without their particulars, and how many rows have each."""
    said = (text for entry in entries for text in (entry.reason, *entry.remarks) if text)
    alike = Counter(HEAD.match(PARTICULAR.sub("…", text))[0] for text in said)  # type: ignore[index]
    return dict(alike.most_common())


def proof_document(proof: Proof) -> dict[str, Any]:
    """For machines."""
    return {**proof._asdict(), "leaks": [leak._asdict() for leak in proof.leaks], "is_clean": proof.is_clean}


def proof_page(proof: Proof) -> list[RenderableType]:
    """For people: what the sides have in common, or that it is nothing."""
    if proof.is_clean:
        said = f"Checked: of {count(proof.examples, 'frozen example')} none shares a question, a group or nearly all "
        return [Text(said + "its words with one on another side, and the ledger balances.", style="green")]
    page: list[RenderableType] = [Text(problem, style="red") for problem in proof.problems]
    for leak in proof.leaks:
        head = f"{count(leak.values, leak.kind)} in both {leak.between.replace(', ', ' and ')}"
        page.append(Text.assemble((f"Leak: {head}", "bold red"), f" ({count(leak.examples, 'example')}), such as"))
        page += [Text(f"  {place}") for place in leak.places]
    if proof.leaks:
        page.append(Text("`data.leaks: drop`, the default, leaves them out of what is learned.", style="dim"))
    return page


def changes_page(changes: Sequence[Change]) -> list[RenderableType]:
    """For people: what is different in the second data set."""
    if not changes:
        return [Text("They hold exactly the same.", style="green")]
    table = Table(box=ROUNDED)
    for name in ("what", "before", "after", "such as"):
        table.add_column(name)
    for change in changes:
        table.add_row(Text(change.what), Text(change.before), Text(change.after), Text(", ".join(change.places)))
    return [table]
