"""The health report for people, as one HTML file, and for machines, as JSON and to a webhook."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from sonneteer.errors import MachineError
from sonneteer.pages import figure, templates_of
from sonneteer.records import Health
from sonneteer.store import write_whole

PATIENCE_SECONDS = 10


def write_page(health: Health, target: Path) -> Path:
    """Write the page, and its figures beside it; returns the page's path."""
    environment = templates_of("sonneteer.monitoring")
    environment.filters["figure"] = lambda value: "–" if value is None else figure(value)
    page = environment.get_template("health.html.jinja").render(health=health)
    write_whole(target, page.encode())
    write_whole(target.with_suffix(".json"), health.model_dump_json(indent=1).encode())
    return target


def call(url: str, health: Health) -> None:
    """Post the report. It holds figures and no texts. Raises MachineError if nobody takes it."""
    body = health.model_dump_json().encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):
            pass
    except OSError as problem:
        raise MachineError(
            f"monitoring.webhook: {url} did not take the health report: {problem}. The report is written all the same; "
            "check the address."
        ) from problem
