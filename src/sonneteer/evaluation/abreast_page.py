"""Runs side by side as a page, with its figures as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sonneteer.evaluation.abreast import Entrant, abreast, is_comparable
from sonneteer.evaluation.charts import gains_svg
from sonneteer.pages import templates_of
from sonneteer.store import write_whole
from sonneteer.store.prices import Prices


def write_abreast(entrants: Sequence[Entrant], prices: Prices, target: Path) -> Path:
    """Write the page, and all that it shows as JSON; returns the page's path."""
    figures, told = target.with_suffix(".json"), {one.name: one.report.comparisons for one in entrants if one.report}
    page = templates_of("sonneteer.evaluation").get_template("abreast.html.jinja")
    text = page.render(
        entrants=entrants,
        rows=abreast(entrants, prices),
        comparable=is_comparable(entrants),
        gains=Markup(gains_svg(told)) if told else None,
        figures=figures.name,
    )
    write_whole(target, text.encode("utf-8", "surrogatepass"))
    write_whole(figures, json.dumps(as_document(entrants, prices), ensure_ascii=False, indent=1).encode())
    return target


def as_document(entrants: Sequence[Entrant], prices: Prices) -> dict[str, Any]:
    """The rows as they are shown, and the whole records behind them."""
    return {
        "is_comparable": is_comparable(entrants),
        "rows": [
            {"name": row.name, "cells": [cell._asdict() for cell in row.cells]} for row in abreast(entrants, prices)
        ],
        "runs": [
            {
                "id": one.name,
                "run": one.run.model_dump(mode="json"),
                "dataset": one.dataset.model_dump(mode="json") if one.dataset else None,
                "report": one.report.model_dump(mode="json") if one.report else None,
            }
            for one in entrants
        ],
    }
