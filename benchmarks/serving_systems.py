"""What the serving benchmark measures: the model, the servers, and the engine alone."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

SEATS = 64
ALL = ("raw", "sonneteer", "transformers", "llamacpp", "sonneteer-llamacpp")
OURS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from benchmarks.serving_systems import {opened} as opened
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, ServedModel, serve
chat = opened(Path(sys.argv[1]))
served = ServedModel("bench", chat, datetime.now(UTC), chat.context)
serve([served], ServingSettings(port=int(sys.argv[2])), Keys(), print)
"""
LLAMA_CPP = """
import sys, time
from pathlib import Path
from benchmarks.serving_systems import gguf_chat
print(gguf_chat(Path(sys.argv[1])).engine.server.address.url, flush=True)
time.sleep(100_000)
"""


def command(system: str, folder: Path, port: int) -> list[str]:
    """How a server is started."""
    if system == "transformers":
        return [
            *(str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--device", "cpu"),
            *("--dtype", "bfloat16", "--port", str(port), "--continuous-batching"),
            *("--cb-num-blocks", "512", "--cb-max-batch-tokens", "512"),
        ]
    programs = {
        "sonneteer": OURS.format(opened="engine_chat"),
        "sonneteer-llamacpp": OURS.format(opened="gguf_chat"),
        "llamacpp": LLAMA_CPP,
    }
    return [sys.executable, "-c", programs[system], str(folder), str(port)]


def surroundings(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of every system."""
    return {**variables, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def name_of(system: str, folder: Path) -> str:
    """What the model is called there."""
    return str(folder) if system == "transformers" else "bench"


def write_model(folder: Path, layers: int) -> None:
    """A model of chance with the bundled tokenizer and template."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from sonneteer.models.load import BUNDLED

    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=3,
        bos_token_id=None,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def engine_chat(folder: Path) -> Any:
    """The embedded engine."""
    import torch

    import sonneteer.quiet  # noqa: F401
    from sonneteer.models.engine.chat import EngineChat
    from sonneteer.models.engine.engine import AnsweringEngine, Limits
    from sonneteer.models.load import open_folder

    model = open_folder("bench", folder)
    model.network.to(torch.bfloat16)
    return EngineChat(AnsweringEngine(model, Limits(seats=SEATS), keeps_network=False))


def gguf_chat(folder: Path) -> Any:
    """llama.cpp with q8_0 weights, on one core: its threads wait for one another without giving way."""
    import sonneteer.quiet  # noqa: F401
    from sonneteer.backends.llamacpp import open_gguf
    from sonneteer.models.engine.reading import shape_of
    from sonneteer.models.gguf_model import write_model as write_gguf
    from sonneteer.models.load import open_folder
    from sonneteer.recipe.sections import ServingSettings

    model, file = open_folder("bench", folder), folder / "bench.gguf"
    if not file.exists():
        write_gguf(model.network, model.tokenizer, file, "q8_0")
    return open_gguf(file, folder, shape_of(folder), ServingSettings(max_streams=SEATS, llamacpp={"threads": 1}))


def write_adapter(folder: Path, target: Path, seed: int) -> None:
    """An adapter of chance for the model."""
    from sonneteer.models.adapters import add_adapter
    from sonneteer.models.load import open_folder
    from sonneteer.recipe.sections import TrainingSettings

    add_adapter(open_folder("bench", folder).network, TrainingSettings(rank=16), seed=seed).save_pretrained(target)


async def _alone(folder: Path, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The embedded engine's figures without a server."""
    from benchmarks.serving import Told, figures
    from sonneteer.chat import Answer, Options, Piece
    from sonneteer.records import Message, Prompt

    chat, loop = engine_chat(folder), asyncio.get_running_loop()

    async def ask(text: str, tokens: int) -> Told:
        begun = time.perf_counter()
        firsts: list[float] = []
        over: asyncio.Future[Answer] = loop.create_future()

        def tell(piece: Piece | Exception) -> None:
            if isinstance(piece, Exception):
                loop.call_soon_threadsafe(over.set_exception, piece)
            elif piece.answer is not None:
                loop.call_soon_threadsafe(over.set_result, piece.answer)
            else:
                firsts.append(time.perf_counter())

        prompt = Prompt(messages=(Message(role="user", text=text),))
        chat.begin(prompt, Options(max_tokens=tokens), tell)
        answer = await over
        end = time.perf_counter()
        return Told((firsts or [end])[0] - begun, end - begun, answer.answer_tokens)

    rows = await figures("raw", ask, options)
    paths = [folder / f"adapter-{seed}" for seed in range(5)]
    for seed, path in enumerate(paths):
        write_adapter(folder, path, seed)
    spent = []
    for path in paths:
        begun = time.perf_counter()
        chat.engine.load_adapter(path.name, path)
        spent.append(time.perf_counter() - begun)
    return [*rows, {"system": "raw", "adapter_ms": round(1000 * median(spent), 1)}]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_alone(Path(sys.argv[1]), json.loads(sys.argv[2])))))
