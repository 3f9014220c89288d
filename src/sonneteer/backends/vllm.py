"""Versions that a vLLM server answers with: adapters are loaded beside their base while it runs."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import weakref
from pathlib import Path

from sonneteer.backends.bases import base_weights_of
from sonneteer.errors import ModelError, RecipeError
from sonneteer.models.attached.dialects import Decode, VllmDialect
from sonneteer.models.attached.engine import AttachedEngine, Server
from sonneteer.models.attached.http import Address
from sonneteer.models.attached.process import ServerProcess
from sonneteer.models.attached.vllm import Vllm
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.reading import PromptReader, reader_of, shape_of
from sonneteer.models.load import tokenizer_of
from sonneteer.models.places import locate
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import ModelVersion
from sonneteer.store import Store

USUAL_RANK = 64  # the server must know the highest before it sees the adapters
AT_ONCE, KEPT = "4", "16"  # adapters in one batch, and in memory
ALLOWED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}  # the server listens to this machine only, and wants a key
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
INSTEAD = "Export it with --to merged, and serve that folder, or take serving.engine 'embedded'."


class VllmVersions:
    """Opens versions in one server with one base, each for as long as somebody holds its chat."""

    def __init__(self, settings: ServingSettings, store: Store, folder: Path) -> None:
        self._settings = settings
        self._store = store
        self._folder = folder
        self._engine: AttachedEngine | None = None
        self._base = ""
        self.server: Vllm | None = None
        self._one_at_a_time = threading.Lock()

    def open(self, model: ModelVersion) -> EngineChat:
        """A version, ready to answer. Raises ModelError where it cannot stand in this server."""
        result = self._store.root / model.folder
        whole = locate(model.base, self._folder) if model.is_adapter else result
        with self._one_at_a_time:
            if model.is_adapter:
                self._refuse_changed(model, whole, result)
            engine, server = self._begun(model.base_fingerprint if model.is_adapter else model.id, model, whole)
            if not model.is_adapter:
                return EngineChat(engine)
            server.load(model.id, self._as_seen(result))
        chat = EngineChat(engine, model.id)
        weakref.finalize(chat, server.unload, model.id)
        return chat

    def take_out(self, id: str) -> None:
        """A version that is not to be answered with any more, though somebody still holds its chat."""
        if self.server is not None:
            self.server.unload(id)

    def close(self) -> None:
        """Stop what was started."""
        if self.server is not None:
            self.server.close()

    def _begun(self, base: str, model: ModelVersion, whole: Path) -> tuple[AttachedEngine, Vllm]:
        if self._engine is None or self.server is None:
            settings = self._settings.vllm
            self.server = self._attached() if settings.url else self._started(whole, _rank(self._store, model))
            name, context = self._found(self.server)
            shape = shape_of(whole)
            reader = reader_of(shape._replace(context=min(shape.context, context or shape.context)), whole)
            dialect = VllmDialect(sorted(reader.renderer.stop_ids()), _decoder(reader))
            server = Server(self.server.address, dialect, name, shape.sees_images)
            self._engine = AttachedEngine(reader, server, self._settings.max_streams)
            self._engine.on_missing = self.server.load_again
            self._base = base
        if base != self._base:
            raise ModelError(f"{model.id} has other base weights than those in the vLLM server. {INSTEAD}")
        return self._engine, self.server

    def _attached(self) -> Vllm:
        settings = self._settings.vllm
        key = os.environ.get(settings.key_variable, "") if settings.key_variable else ""
        if settings.key_variable and not key:
            raise RecipeError(f"serving.vllm.key_variable: {settings.key_variable} is not set in the environment.")
        return Vllm(Address(str(settings.url).rstrip("/"), key), None, settings.start_seconds)

    def _started(self, whole: Path, rank: int) -> Vllm:
        settings = self._settings.vllm
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [
            *(*settings.command, str(whole), "--served-model-name", "base", "--host", "127.0.0.1", "--port", port),
            *("--max-num-seqs", str(self._settings.max_streams), "--enable-lora", "--max-lora-rank", str(rank)),
            *("--max-loras", AT_ONCE, "--max-cpu-loras", KEPT),
            *settings.options,
        ]
        key = secrets.token_urlsafe(24)
        log = self._store.root / "logs" / "vllm.log"
        process = ServerProcess(command, {**QUIET, **ALLOWED, "VLLM_API_KEY": key}, log)
        return Vllm(Address(f"http://127.0.0.1:{port}", key), process, settings.start_seconds)

    def _found(self, server: Vllm) -> tuple[str, int | None]:
        """The base model's name in the server, and its context."""
        bases = {str(one["id"]): one.get("max_model_len") for one in server.models() if not one.get("parent")}
        wanted = self._settings.vllm.model or (next(iter(bases)) if len(bases) == 1 else None)
        if wanted not in bases:
            raise RecipeError(
                f"serving.vllm.model is '{wanted}', but the server at {server.address.url} has "
                f"{', '.join(sorted(bases)) or 'no model'}."
            )
        return wanted, bases[wanted]

    def _as_seen(self, result: Path) -> str:
        """The folder as the server sees it."""
        workspace = self._settings.vllm.workspace
        if workspace is None:
            return str(result.resolve())
        return f"{workspace.rstrip('/')}/{result.relative_to(self._store.root).as_posix()}"

    def _refuse_changed(self, model: ModelVersion, whole: Path, result: Path) -> None:
        """vLLM's base is the plain one, so what an adapter learned beside another is lost there."""
        if base_weights_of(model, self._store) != "whole":
            raise ModelError(f"{model.id} learned beside quantised weights, which vLLM's base has not. {INSTEAD}")
        own, base = tokenizer_of(result), tokenizer_of(whole)
        if own.get_vocab() != base.get_vocab() or own.chat_template != base.chat_template:
            raise ModelError(f"{model.id} has other words or another template than its base. {INSTEAD}")


def _rank(store: Store, model: ModelVersion) -> int:
    if not model.is_adapter:
        return USUAL_RANK
    config = json.loads((store.root / model.folder / "adapter_config.json").read_text("utf-8"))
    return max(USUAL_RANK, int(config["r"]))


def _decoder(reader: PromptReader) -> Decode:
    return lambda token: str(reader.tokenizer.decode([token])).encode()
