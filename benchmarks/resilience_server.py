"""The server that `resilience.py` torments: the bundled model behind the APIs, watched as by `sonneteer serve`."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.models.attached import fake_vllm

import sonneteer.quiet  # noqa: F401 - before the libraries
from sonneteer import deployments, serving
from sonneteer.backends.llamacpp import open_gguf
from sonneteer.circle import live
from sonneteer.models.attached.dialects import VllmDialect
from sonneteer.models.attached.engine import AttachedEngine, Server
from sonneteer.models.attached.http import Address
from sonneteer.models.attached.process import ServerProcess
from sonneteer.models.attached.vllm import Vllm
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.engine.reading import reader_of, shape_of
from sonneteer.models.gguf_model import write_model
from sonneteer.models.load import LanguageModel, open_model
from sonneteer.recipe import read_recipe
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Deployment, ModelVersion
from sonneteer.store import Store

NAME, SEATS, QUEUE = "bench", 8, 24
START_SECONDS = 60.0
RECIPE = f"""
name: {NAME}
data: {{sources: none.jsonl}}
serving: {{max_answer_tokens: 64, max_streams: {SEATS}, max_queue: {QUEUE}}}
"""


def main(workspace: Path, port: int, engine: str) -> None:
    """Serve until killed."""
    (workspace / "recipe.yaml").write_text(RECIPE)
    loaded, store = read_recipe(workspace / "recipe.yaml"), Store(workspace)
    if store.latest(Deployment, NAME) is None:
        _deploy_two_versions(store)
    chat = ENGINES[engine](open_model("couplet", workspace), workspace / "engine")
    born = datetime.now(UTC)
    watch = live.watch_of(loaded, store, lambda id: serving.ServedModel(NAME, chat, born, chat.context, id))
    assert watch.live is not None
    settings = loaded.recipe.serving.model_copy(update={"port": port})
    serving.serve([watch.live.champion], settings, serving.Keys({}), print, serving.Around(watch))


def _embedded(base: LanguageModel, _: Path) -> EngineChat:
    return EngineChat(AnsweringEngine(base, Limits(seats=SEATS, prefix_bytes=16 * 1024**2)))


def _llamacpp(base: LanguageModel, folder: Path) -> EngineChat:
    _write_files(base, folder)
    file = folder / "base.gguf"
    if not file.exists():
        write_model(base.network, base.tokenizer, file, "q8_0")
    return open_gguf(file, folder, shape_of(folder), ServingSettings(max_streams=SEATS))


def _vllm(base: LanguageModel, folder: Path) -> EngineChat:
    """A stand-in that speaks vLLM's protocol, started and watched as vLLM would be."""
    _write_files(base, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, fake_vllm.__file__, str(folder), "--enable-lora", "--port", port]
    settings = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_API_KEY": "k", "FAKE_VLLM_SECONDS": "0.05"}
    process = ServerProcess(command, settings, folder / "vllm.log")
    reader = reader_of(shape_of(folder), folder)
    vllm = Vllm(Address(f"http://127.0.0.1:{port}", "k"), process, START_SECONDS)
    dialect = VllmDialect(sorted(reader.renderer.stop_ids()), lambda token: b"")
    return EngineChat(AttachedEngine(reader, Server(vllm.address, dialect, "base", keeps=vllm), SEATS))


ENGINES = {"embedded": _embedded, "llamacpp": _llamacpp, "vllm": _vllm}


def _write_files(base: LanguageModel, folder: Path) -> None:
    if not folder.exists():
        base.network.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)


def _deploy_two_versions(store: Store) -> None:
    for number, stage in ((1, "retired"), (2, "champion")):
        said = {"id": f"{NAME}-{number}", "name": NAME, "number": number, "base": "couplet", "base_fingerprint": "f"}
        said |= {"folder": "none", "is_adapter": True, "run_id": "r", "dataset_id": "d", "stage": stage}
        store.save(ModelVersion.model_validate(said | {"created_at": datetime.now(UTC)}))
    deployments.deploy(store, NAME, "begin", champion_id=f"{NAME}-2", previous_champion_id=f"{NAME}-1")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
