"""How long work tells where it stands: a stage, a line worth reading, a bar with figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Somebody who watches."""

    def stage(self, name: str) -> None:
        """A new stage begins: preparing, training, evaluating."""
        ...

    def note(self, text: str) -> None:
        """A line worth reading."""
        ...

    def update(self, done: float, total: float, figures: Mapping[str, float | str] = {}) -> None:
        """The present stage has come this far."""
        ...

    def validated(self, loss: float) -> None:
        """A validation is done and its checkpoint written. Who has seen enough may raise, and ends the training."""
        ...


class Silent:
    """Nobody watches."""

    def stage(self, name: str) -> None:
        """Not shown."""

    def note(self, text: str) -> None:
        """Not shown."""

    def update(self, done: float, total: float, figures: Mapping[str, float | str] = {}) -> None:
        """Not shown."""

    def validated(self, loss: float) -> None:
        """Not judged."""
