"""The workspace folder: the catalogue, files named by their content, the runs' folders, and the locks."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

from sonneteer.errors import MissingError
from sonneteer.records import DatasetVersion
from sonneteer.store import audit
from sonneteer.store.audit import AuditEntry
from sonneteer.store.catalogue import TABLES, Catalogue, Kept, R
from sonneteer.store.disk import refusals, write_whole
from sonneteer.store.keys import KeyRing
from sonneteer.store.locks import one_writer
from sonneteer.store.shelf import Shelf
from sonneteer.store.traffic import Traffic
from sonneteer.store.trials import TrialJournals

CATALOGUE_VARIABLE = "SONNETEER_CATALOGUE"
"""Environment variable with the URL of a database that a team shares, instead of the workspace's own file."""


class Store:
    """A workspace folder. Created, and brought to the newest form, when it is opened."""

    def __init__(self, root: Path, catalogue_url: str | None = None) -> None:
        self.root = root.absolute()
        with refusals(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        url = catalogue_url or os.environ.get(CATALOGUE_VARIABLE) or f"sqlite:///{self.root / 'catalogue.sqlite'}"
        self._catalogue = Catalogue(url, self.root)
        self.keys = KeyRing(self._catalogue.connection, self.writing, self.note_deed)
        self.trials = TrialJournals(self._catalogue.connection, self.writing)
        self.traffic = Traffic(self._catalogue.connection)
        self.shelf = Shelf(self._catalogue.connection, self.root / "uploads", self.writing)
        with self.writing("catalogue", wait_seconds=60):
            self._catalogue.migrate()
            self.keys.adopt(self.root / "keys.json")

    # Files named by their content ---------------------------------------------------------------

    def put(self, content: bytes, suffix: str) -> str:
        """Keep bytes; returns the file's name, its SHA-256 and the suffix. The same content twice is one file."""
        name = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
        if not self._place(name).exists():
            write_whole(self._place(name), content)
        return name

    def path(self, name: str) -> Path:
        """Where a kept file lies. Raises MissingError."""
        path = self._place(name)
        if not path.is_file():
            raise MissingError(f"{path} is missing. Prepare the data again, or restore the workspace from a backup.")
        return path

    def folder(self, run_id: str) -> Path:
        """The folder of a run's own files."""
        folder = self.root / "runs" / run_id
        with refusals(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def private_key(self) -> bytes:
        """The workspace's own secret, for digests that nobody outside can guess. Made when it is first asked for."""
        path = self.root / "private.key"
        with self.writing("private-key", wait_seconds=60), refusals(path):
            if not path.exists():
                partial = self.root / ".private.key.partial"
                with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                    stream.write(secrets.token_hex(32))
                os.replace(partial, path)
            return bytes.fromhex(path.read_text("utf-8"))

    def _place(self, name: str) -> Path:
        return self.root / "files" / name[:2] / name

    # Records ------------------------------------------------------------------------------------

    def save(self, record: Kept) -> None:
        """Insert a record, or replace the one with its id; the audit log tells of it."""
        with self.writing("audit", wait_seconds=60):
            audit.remember_head(self.root, self._catalogue.save(record))

    def get(self, kind: type[R], id: str) -> R:
        """The record of this id. Raises MissingError, which names what comes near."""
        return self._catalogue.get(kind, id)

    def find(self, kind: type[R], **columns: str | int) -> list[R]:
        """Records whose columns (`name` and those of `catalogue.SEARCHED`) have these values, newest first."""
        return self._catalogue.find(kind, **columns)

    def latest(self, kind: type[R], name: str) -> R | None:
        """The newest record of this name."""
        return next(iter(self.find(kind, name=name)), None)

    def open_test_split(self, dataset_id: str, example_ids: Collection[str] = ()) -> int:
        """Count that the sealed test split was opened; returns how often it has been by now.

        An example that an earlier data set held, too, has been seen as often as both were opened.
        """
        self.note_deed("open the sealed test split", f"{TABLES[DatasetVersion]}/{dataset_id}", "")
        return self._catalogue.count_opening(dataset_id, example_ids)

    def test_openings(self, dataset_id: str, example_ids: Collection[str]) -> int:
        """How often it has been opened, without opening it."""
        return self._catalogue.openings(dataset_id, example_ids)

    # Who did what when --------------------------------------------------------------------------

    def note_deed(self, action: str, subject: str, content: str) -> None:
        """One more entry of the audit log. Never write anybody's personal data here."""
        with self.writing("audit", wait_seconds=60):
            audit.remember_head(self.root, self._catalogue.append_audit(action, subject, content))

    def audit_log(self) -> list[AuditEntry]:
        """All entries of the audit log, the oldest first."""
        return self._catalogue.audit_log()

    def audit_problems(self) -> list[str]:
        """Traces of tampering: with the log, or with records that it tells of. Empty where all is as it was written."""
        log = self.audit_log()
        found = audit.problems(log, audit.remembered_head(self.root))
        saved = {entry.subject: entry.content for entry in log if entry.action == "save"}
        there = self._catalogue.fingerprints()
        found += [f"The record {subject} is gone." for subject in sorted(set(saved) - set(there))]
        changed = sorted(subject for subject in set(saved) & set(there) if saved[subject] != there[subject])
        return found + [f"The record {subject} is not as it was saved." for subject in changed]

    # One writer at a time -----------------------------------------------------------------------

    def writing(self, what: str, wait_seconds: float = 0) -> AbstractContextManager[None]:
        """Nobody else writes `what` meanwhile. Raises BusyError, which says who does and since when."""
        return one_writer(self.root / "locks", what, wait_seconds)
