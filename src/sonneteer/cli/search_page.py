"""What `sonneteer search` shows: the finalists and which was chosen, or the range test's learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sonneteer.cli.pages import figure

if TYPE_CHECKING:
    from sonneteer.lifecycle import Found
    from sonneteer.search.found import SearchReport


def search_page(found: Found) -> list[RenderableType]:
    """A few lines; the report has the rest."""
    if found.rates:
        rate = found.rates.learning_rate
        return [Text(f"Learning rate {rate:.1e}: a tenth of the one where the loss was lowest.")]
    return _trials_page(found.report) if found.report else []


def _trials_page(how: SearchReport) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in how.own:
        table.add_column(name.removeprefix("training."), justify="right")
    table.add_column("validation loss")
    for one in how.finalists:
        shown = [figure(value) if isinstance(value, int | float) else str(value) for value in one.settings.values()]
        style = "green" if one == how.chosen else ""
        table.add_row(*shown, f"{one.mean:.4f} ± {one.standard_error:.4f}", style=style)
    lines: list[RenderableType] = [table]
    if how.own_loss is not None:
        lines.append(Text(f"The recipe's own settings came to {how.own_loss:.4f}.", style="dim"))
    return lines
