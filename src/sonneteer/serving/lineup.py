"""Which models are served, and which of them answers to a name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sonneteer.chat import Chat
from sonneteer.records import Arm
from sonneteer.serving.listing import AnthropicPage, around
from sonneteer.serving.refusals import Refusal


class ServedModel(NamedTuple):
    """A model with what clients may know of it."""

    name: str
    chat: Chat
    created_at: datetime
    context: int | None
    """Longest prompt and answer together, in tokens; None where nobody knows."""
    model_id: str = ""
    """Which version answers under the name; its id in the catalogue."""
    arm: Arm = "champion"


Others = Callable[[str], ServedModel | None]
"""Finds and opens a model that is served when it is first asked for; None if there is none of this name."""


class Page(NamedTuple):
    """A part of the list."""

    models: list[ServedModel]
    has_more: bool


class Lineup:
    """The models by name. The first one stands in for the products' former models."""

    def __init__(
        self, models: Sequence[ServedModel], stand_in_for: tuple[str, ...], others: Others | None = None
    ) -> None:
        assert models, "a server needs a model"
        self.models = {model.name: model for model in models}
        assert len(self.models) == len(models), "two models of one name"
        self._stand_in_for = stand_in_for
        self._others = others
        self._opening = asyncio.Lock()

    async def found(self, name: str) -> ServedModel:
        """The model of this name, opened if nobody has asked for it yet. Raises Refusal with status 404."""
        if name not in self.models and self._others is not None and not name.startswith(self._stand_in_for):
            async with self._opening:
                other = await asyncio.to_thread(self._others, name) if name not in self.models else None
            if other is not None:
                self.models[name] = other
        return self.find(name)

    def find(self, name: str) -> ServedModel:
        """The model that answers to this name. Raises Refusal with status 404 if none does."""
        if name in self.models:
            return self.models[name]
        if name.startswith(self._stand_in_for):
            return next(iter(self.models.values()))
        raise Refusal(404, f"model: {name[:200]}", code="model_not_found", field="model")

    def page(self, wanted: AnthropicPage) -> Page:
        """A part of the list, in the order in which the models are served."""
        return Page(*around(list(self.models.values()), list(self.models), wanted))
