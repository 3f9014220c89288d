"""Versions that llama.cpp answers with: each exported, proven to be the model that was trained, and opened."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from sonneteer.errors import ExtraError
from sonneteer.models.attached.dialects import LlamaCppDialect
from sonneteer.models.attached.engine import AttachedEngine, Server
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.reading import Shape, reader_of, shape_of
from sonneteer.models.llama_cpp import LlamaCpp
from sonneteer.models.places import locate
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import ModelVersion
from sonneteer.store import Store

GIGABYTE = 1024**3
HALF_BYTES = 2  # of a number in llama.cpp's keys and values
Exporter = Callable[[ModelVersion], Path]
"""Gives a version's proven GGUF file. Raises ModelError where there is no proof."""


class LlamaCppVersions:
    """Opens versions as GGUF files, each for as long as somebody holds its chat.

    Raises ExtraError where llama.cpp is not installed.
    """

    def __init__(self, settings: ServingSettings, store: Store, folder: Path, export: Exporter) -> None:
        if not LlamaCpp.is_there():
            raise ExtraError(
                "serving.engine is 'llamacpp', which needs llama.cpp's library: pip install 'sonneteer[llamacpp]'. Or "
                "write 'embedded', which needs nothing more."
            )
        self._settings = settings
        self._store = store
        self._folder = folder
        self._export = export
        self._one_at_a_time = threading.Lock()

    def open(self, model: ModelVersion) -> EngineChat:
        """A version, ready to answer."""
        result = self._store.root / model.folder
        shape = shape_of(locate(model.base, self._folder) if model.is_adapter else result)
        with self._one_at_a_time:
            return open_gguf(self._export(model), result, shape, self._settings)


def open_gguf(file: Path, tokenizer_path: Path, shape: Shape, settings: ServingSettings) -> EngineChat:
    """A GGUF file in llama.cpp's own server, a process of its own, for this machine only."""
    room = int(settings.kv_gb * GIGABYTE) // (shape.numbers_per_token * HALF_BYTES)
    tokens = max(shape.context, min(room, settings.max_streams * shape.context))
    threads = settings.llamacpp.threads or os.cpu_count() or 1
    library = LlamaCpp(file, tokens, settings.max_streams, threads)
    server = Server(library.address, LlamaCppDialect(), keeps=library)
    return EngineChat(AttachedEngine(reader_of(shape, tokenizer_path), server, settings.max_streams))
