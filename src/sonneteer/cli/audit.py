"""What `sonneteer audit` shows: who did what when, and whether anybody tampered with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.table import Table
from rich.text import Text

from sonneteer.cli.session import ExitCode, Outcome

if TYPE_CHECKING:
    from sonneteer.store import Store
    from sonneteer.store.audit import AuditEntry


def show_log(store: Store) -> Outcome:
    """Every entry of the log."""
    log = store.audit_log()
    table = Table(box=ROUNDED, title=f"Audit log of {store.root}", title_justify="left")
    for column in ("", "when", "who", "what", "which", "why"):
        table.add_column(column, overflow="fold")
    for entry in log:
        table.add_row(str(entry.number), entry.at[:19], entry.who, entry.action, entry.subject, _why(entry))
    return Outcome({"entries": [entry._asdict() for entry in log]}, [table])


def verify_log(store: Store) -> Outcome:
    """Whether log and records are as they were written."""
    found, log = store.audit_problems(), store.audit_log()
    document = {"entries": len(log), "last": log[-1].hash if log else None, "problems": found}
    last = [Text(f"The last entry's hash, to keep elsewhere: {log[-1].hash}", style="dim")] if log else []
    if found:
        return Outcome(document, [*(Text(problem, style="red") for problem in found), *last], ExitCode.MUST_CHANGE)
    words = f"All {len(log)} entries and the records they tell of are as they were written."
    return Outcome(document, [Text(words, style="green"), *last])


def _why(entry: AuditEntry) -> str:
    """The words of an entry. Of a saved record only its fingerprint is known, which tells people nothing."""
    return "" if entry.action == "save" else entry.content
