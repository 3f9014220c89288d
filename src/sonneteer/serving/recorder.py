"""Exchanges are written down masked: at once where a killed server does not lose them, in the database in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

from sonneteer.errors import BusyError, MachineError, MissingError, SonneteerError
from sonneteer.privacy import Guard
from sonneteer.recipe.sections import PERSONAL_KINDS, MonitoringSettings, PrivacySettings
from sonneteer.records import Example, Exchange, Feedback, Message
from sonneteer.serving.feedback import FeedbackRequest, Ledger, give
from sonneteer.serving.pile import Page, Pile

LOG = logging.getLogger(__name__)
BATCH = 100
PURGE_SECONDS = 3600.0
PATIENCE_SECONDS = 5.0
"""How long feedback waits for its exchange, which may not be written yet."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between two tries at a database that does not answer


class Log(Ledger, Protocol):
    """Where exchanges are kept: the catalogue's `traffic`."""

    def keep(self, exchanges: Sequence[Exchange]) -> None:
        """Write them, all or none. Writing one again replaces it."""
        ...


class Tally(NamedTuple):
    """What became of the exchanges so far."""

    written: int
    waiting: int
    lost: int
    """Not written down, because too many were waiting."""
    trouble: str
    """Why nothing can be written at the moment; empty if it can."""


class Recorder:
    """Takes exchanges at any speed, and writes them down at the database's own."""

    def __init__(
        self,
        log: Log,
        settings: MonitoringSettings,
        privacy: PrivacySettings,
        folder: Path | None = None,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        """In `folder` lies what waits for the database; without it, what waits is lost with the process. `forget`
        deletes what is too old, once an hour."""
        self._log = log
        self._settings = settings
        self._forget = forget
        self._guard = strict_guard(privacy)
        self._pile = Pile(folder)
        self._waiting = self._pile.left
        self._changed = threading.Condition()
        self._written = self._lost = 0
        self._trouble = ""
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def is_wanted(self, conversation: str) -> bool:
        """Whether the recipe wants this conversation written down. All its turns are, or none."""
        if self._settings.record == "share":
            return int(conversation[:8], 16) < self._settings.recorded_share * 16**8
        return self._settings.record == "all"

    def note(self, exchange: Exchange) -> None:
        """Mask it, and put it where a killed server does not lose it; it is written down when there is time.

        Does not wait for the database and does not fail: what is too much is counted as lost.
        """
        masked = masked_by(self._guard, exchange)
        with self._changed:
            if self._waiting < self._settings.max_unwritten and self._pile.put(masked):
                self._waiting += 1
                self._changed.notify()
            else:
                self._lost += 1

    def say(self, request: FeedbackRequest, key: str = "") -> Feedback:
        """Keep what somebody says of an answer, by which key; waits until that is written.

        Raises MissingError if it never was, BusyError if it may still be waiting.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            is_all_written = not self._waiting
            try:
                return give(self._log, self._guard, request, key)
            except MissingError as problem:
                if is_all_written:
                    raise
                if time.monotonic() > deadline:
                    raise BusyError(f"{self._waiting} exchanges still wait for the database.") from problem
            time.sleep(0.02)

    def tally(self) -> Tally:
        """What became of the exchanges so far."""
        return Tally(self._written, self._waiting, self._lost, self._trouble)

    def close(self, seconds: float = 5.0) -> None:
        """Write what still waits, for so long at most."""
        self._is_closing.set()
        self._thread.join(seconds)
        self._pile.close()

    def _work(self) -> None:
        purged_at = -PURGE_SECONDS
        while not (self._is_closing.is_set() and not self._waiting):
            page = self._next_page()
            if page is not None and not self._write(page):
                self._lost += len(page.more)
                return
            if time.monotonic() - purged_at > PURGE_SECONDS:
                self._insist(self._forget)
                purged_at = time.monotonic()

    def _next_page(self) -> Page | None:
        with self._changed:
            if not self._waiting:
                self._changed.wait(0.2)
            return self._pile.take()

    def _write(self, page: Page) -> bool:
        """Write a page's exchanges; False if the server stops before that is done."""
        exchanges, written = page.exchanges(), 0
        try:
            while batch := list(islice(exchanges, BATCH)):
                if not self._insist(lambda: self._log.keep(batch)):
                    return False
                written += len(batch)
                self._written += len(batch)
            page.drop()
        except MachineError as problem:  # the page stays where it is, for the next server to try
            LOG.error("%d exchanges cannot be read again to be written down. %s", page.size - written, problem)
            self._lost += page.size - written
        with self._changed:
            self._waiting -= page.size
        return True

    def _insist(self, write: Callable[[], object]) -> bool:
        """Write, and try again while the database does not answer; False if the server stops before it does."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                write()
            except SonneteerError as problem:
                if not self._trouble:
                    LOG.error("Exchanges cannot be written down at the moment; the server goes on. %s", problem)
                self._trouble = str(problem)
            else:
                if self._trouble:
                    LOG.warning("Exchanges are written down again; %d were lost meanwhile.", self._lost)
                self._trouble = ""
                return True
            if self._is_closing.wait(pause):
                return False
            pause = min(2 * pause, LONGEST_PAUSE)


def strict_guard(privacy: PrivacySettings) -> Guard:
    """Masks every type, also those that the recipe keeps in the training data."""
    return Guard(privacy.model_copy(update=dict.fromkeys(PERSONAL_KINDS, "mask")))


def masked_by(guard: Guard, exchange: Exchange) -> Exchange:
    """The exchange as it may be kept."""
    shadow = exchange.shadow_answer
    whole = Example(
        messages=(*exchange.prompt.messages, exchange.answer),
        rejected=None if shadow is None else Message(role="assistant", text=shadow),
        tools=exchange.prompt.tools,
    )
    protected, counts = guard.protect(whole)
    if not counts:
        return exchange
    return exchange.model_copy(
        update={
            "prompt": protected.prompt,
            "answer": protected.answer,
            "shadow_answer": protected.rejected.text if protected.rejected else None,
            "masked": counts,
        }
    )
