"""Model versions for serving: adapters of one base share an engine; what it cannot hold is answered one by one."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

import torch

from sonneteer.backends.bases import as_one, base_of, base_weights_of
from sonneteer.errors import ModelError
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.generate import LocalChat
from sonneteer.models.hardware import apart
from sonneteer.models.load import LanguageModel, tokenizer_of
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import ModelVersion
from sonneteer.store import Store

GIGABYTE = 1024**3


class ServedVersions:
    """Opens versions beside one another, each for as long as somebody holds its chat.

    `folder` is the recipe's, from which relative paths to bases start.
    """

    def __init__(self, settings: ServingSettings, store: Store, folder: Path) -> None:
        self._settings = settings
        self._store = store
        self._folder = folder
        self._shared: dict[str, AnsweringEngine] = {}
        self._alone: weakref.WeakSet[AnsweringEngine] = weakref.WeakSet()
        self._one_at_a_time = threading.Lock()

    def open(self, model: ModelVersion) -> EngineChat | LocalChat:
        """A version, ready to answer. An adapter whose base is there already is ready within a moment."""
        with self._one_at_a_time:
            return apart(lambda: self._opened(model))

    def __enter__(self) -> ServedVersions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all engines."""
        for engine in (*self._shared.values(), *self._alone):
            engine.close()

    def _opened(self, model: ModelVersion) -> EngineChat | LocalChat:
        result = self._store.root / model.folder
        if model.is_adapter and self._settings.share_base:
            try:
                return self._beside_its_base(model, result)
            except ModelError:  # more than plain LoRA, other words, or another kind of network
                pass
        return self._by_itself(model)

    def _beside_its_base(self, model: ModelVersion, result: Path) -> EngineChat:
        key = f"{model.base_fingerprint} {base_weights_of(model, self._store)}"
        if key not in self._shared:
            self._shared[key] = self._engine(base_of(model, self._store, self._folder))
        engine = self._shared[key]
        own, shared = tokenizer_of(result), engine.model.tokenizer
        if own.chat_template != shared.chat_template or own.get_vocab() != shared.get_vocab():
            raise ModelError(f"{model.id} has other words or another template than its base.")
        return EngineChat(engine, engine.load_adapter(model.id, result))

    def _by_itself(self, model: ModelVersion) -> EngineChat | LocalChat:
        whole = as_one(model, self._store, self._folder)
        try:
            engine = self._engine(whole)
        except ModelError:
            return LocalChat(whole)
        chat = EngineChat(engine)
        self._alone.add(engine)
        weakref.finalize(chat, engine.close)  # nobody answers with it any more: its weights are given back
        return chat

    def _engine(self, model: LanguageModel) -> AnsweringEngine:
        if self._settings.precision == "bfloat16":
            model.network.to(torch.bfloat16)
        limits = Limits(
            seats=self._settings.max_streams,
            kv_bytes=int(self._settings.kv_gb * GIGABYTE),
            prefix_bytes=int(self._settings.prefix_gb * GIGABYTE),
        )
        return AnsweringEngine(model, limits, keeps_network=False)
