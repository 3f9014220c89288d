"""Looking again and again, in a thread of its own, at what may change while the server runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sonneteer.serving.refusals import in_words

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 0.2
"""Time between two looks: so long may a revoked key still open, and a version that was rolled back still answer."""


class Follower:
    """Calls `look` until it is closed. A look that fails is told once, with what `stays` as it is meanwhile."""

    def __init__(self, look: Callable[[], object], stays: Callable[[], str]) -> None:
        self._look = look
        self._stays = stays
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._is_closing.set()
        self._thread.join(5)

    def _follow(self) -> None:
        trouble = ""
        while not self._is_closing.wait(LOOK_SECONDS):
            try:
                self._look()
                trouble = ""
            except Exception as problem:  # whatever it is: who gave up looking would miss the next roll-back
                told = in_words(problem)
                if told != trouble:
                    LOG.error("%s %s", self._stays(), told)
                trouble = told
