"""What `advise`, `compare` and `case list` show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sonneteer.evaluation import Advice
    from sonneteer.iteration import Compared
    from sonneteer.records import Case

SHOWN_PLACES = 5


def advice_page(given: Sequence[Advice]) -> list[RenderableType]:
    """Numbered, with the gain behind; the evidence and the places below."""
    page: list[RenderableType] = []
    for number, one in enumerate(given, 1):
        gain = "" if one.gain is None else f"  at most {one.gain:.1%}"
        page.append(Text.assemble((f"{number}. {one.what}", "bold"), (gain, "green")))
        page.append(Text(f"   {one.evidence}", style="dim"))
        page += [Text(f"   · {' '.join(place.split())[:100]}", style="dim") for place in one.places[:SHOWN_PLACES]]
        left = len(one.places) - SHOWN_PLACES
        page += [Text(f"   and {left} more (--json lists them)", style="dim")] if left > 0 else []
    return page or [Text("Nothing to say: there is neither a gap nor a doubt in what is known.")]


def comparison_page(compared: Compared) -> list[RenderableType]:
    """One column for each run."""
    from sonneteer.evaluation import abreast, is_comparable

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("", *(one.name for one in compared.entrants)):
        table.add_column(name, overflow="fold")
    for row in abreast(compared.entrants, compared.prices):
        if row.is_heading:
            table.add_section()
            table.add_row(Text(f"\n{row.name}", style="bold"))
        else:
            cells = [Text.assemble(cell.text, (f"  {cell.small}" if cell.small else "", "dim")) for cell in row.cells]
            table.add_row(row.name, *cells)
    page: list[RenderableType] = [table]
    if not is_comparable(compared.entrants):
        page.append(Text("They were tested on different data: their figures are not comparable.", style="yellow"))
    page.append(Text("Behind each figure: its gain over the base [interval], and the test examples.", style="dim"))
    return page


def cases_page(known: Sequence[Case]) -> list[RenderableType]:
    """Question, bad and good answer of each case."""
    page: list[RenderableType] = []
    for one in known:
        page.append(Text.assemble((one.id, "bold"), f"  {one.prompt[-1].text}"))
        page += [Text(f"   bad:  {one.bad}", style="red"), Text(f"   good: {one.good}", style="green")]
    return page or [Text("No case yet: sonneteer case add RECIPE --ask TEXT --bad TEXT --good TEXT")]
