"""The audit log: who did what when. Each entry carries the hash of the one before it, so that a change shows."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sql

from sonneteer.store.disk import write_whole

START = "0" * 64
HEAD = "audit-head.txt"
"""Beside the catalogue: the newest hash."""
COLUMNS = ("number", "at", "who", "action", "subject", "content", "previous", "hash")
AUDIT = sql.table("audit", *(sql.column(name) for name in COLUMNS))


class AuditEntry(NamedTuple):
    """One line of the log."""

    number: int
    at: str
    who: str
    action: str
    subject: str
    """Which record, by kind and id; for `forget` a digest of the person and never the person's own words."""
    content: str
    """Fingerprint of the record as it was saved, or a few plain words."""
    previous: str
    hash: str

    def computed(self) -> str:
        """The hash that belongs to what the entry says."""
        said = json.dumps(self[:-1], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()


def append(connection: sql.Connection, action: str, subject: str, content: str) -> AuditEntry:
    """Write the next entry. Nobody else may write meanwhile."""
    # A write that changes nothing takes SQLite's lock before the end of the log is read, and not after.
    connection.execute(sql.delete(AUDIT).where(AUDIT.c.number < 0))
    query = sql.select(AUDIT.c.number, AUDIT.c.hash).order_by(AUDIT.c.number.desc()).limit(1)
    last = connection.execute(query).first()
    number, previous = (last.number + 1, last.hash) if last else (1, START)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    entry = AuditEntry(number, now, _who(), action, subject, content, previous, "")
    entry = entry._replace(hash=entry.computed())
    connection.execute(sql.insert(AUDIT).values(entry._asdict()))
    return entry


def entries(connection: sql.Connection) -> list[AuditEntry]:
    """The whole log, the oldest first."""
    rows = connection.execute(sql.select(*(AUDIT.c[name] for name in COLUMNS)).order_by(AUDIT.c.number))
    return [AuditEntry(*row) for row in rows]


def problems(log: list[AuditEntry], head: str | None) -> list[str]:
    """What is wrong with the chain: entries that were changed, taken out, put in, or cut off at the end."""
    found, previous = [], START
    for number, entry in enumerate(log, 1):
        if entry.number != number:
            found.append(f"Entry {number} is missing.")
            break
        if entry.previous != previous or entry.hash != entry.computed():
            found.append(f"Entry {number} ({entry.action} {entry.subject}) was changed after it was written.")
            break
        previous = entry.hash
    if log and not found and head is None:
        found.append(
            f"{HEAD} is gone from the workspace, so nobody can tell whether the log's end was cut off. Compare the "
            "last entry's hash with the one that you kept."
        )
    elif not found and head not in (None, *(entry.hash for entry in log)):  # a killed process may have remembered less
        found.append(f"The log ends at entry {len(log)}, but the workspace remembers a later or another end.")
    return found


def remember_head(root: Path, entry: AuditEntry) -> None:
    """Keep the newest hash beside the catalogue: whoever cuts the log's end off has to know of this, too."""
    write_whole(_head_path(root), f"{entry.hash}\n".encode())


def remembered_head(root: Path) -> str | None:
    """The newest hash that was kept."""
    with suppress(FileNotFoundError):
        return _head_path(root).read_text("utf-8").strip()
    return None


def _head_path(root: Path) -> Path:
    return root / HEAD


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a user's name
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{platform.node()}"
