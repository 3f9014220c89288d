"""Which engine answers: the one seam between a recipe's wish and what opens versions."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sonneteer.backends.llamacpp import Exporter, LlamaCppVersions
from sonneteer.backends.served import ServedVersions
from sonneteer.backends.vllm import VllmVersions
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.generate import LocalChat
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import ModelVersion
from sonneteer.store import Store


class Versions(Protocol):
    """Opens versions to be served."""

    def open(self, model: ModelVersion) -> EngineChat | LocalChat:
        """A version, ready to answer for as long as its chat is held."""
        ...


def versions_of(settings: ServingSettings, store: Store, folder: Path, export: Exporter) -> Versions:
    """The engine that the recipe names. Raises ExtraError where it is not installed."""
    if settings.engine == "llamacpp":
        return LlamaCppVersions(settings, store, folder, export)
    if settings.engine == "vllm":
        return VllmVersions(settings, store, folder)
    return ServedVersions(settings, store, folder)
