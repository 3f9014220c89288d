"""What the serving benchmark measures: the model, the servers, and the engine alone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

T = TypeVar("T")
SEATS = 64
START_SECONDS = 120
LAST_CHUNK = b"\r\n0\r\n\r\n"
WORDS, USAGE = re.compile(rb'"content": ?"[^"]'), re.compile(rb'"completion_tokens": ?(\d+)')
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
RAW = """
import sys
from pathlib import Path
from benchmarks.serving_raw import serve
serve(Path(sys.argv[1]), int(sys.argv[2]))
"""
LLAMA_CPP = """
import sys, time
from pathlib import Path
from benchmarks.serving_systems import gguf_chat
chat = gguf_chat(Path(sys.argv[1]))
print(chat.engine.server.address.url, flush=True)
time.sleep(100_000)
"""


class Told(NamedTuple):
    """How one answer came."""

    first: float
    """Seconds to the first token."""
    whole: float
    """Seconds to the end."""
    tokens: int


Ask = Callable[[str, int], Awaitable[Told]]
"""Asks for so many tokens."""


class System:
    """A server in processes of its own, which are stopped unless it is its turn."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self._model = str(folder) if name == "transformers" else "bench"
        self._process = subprocess.Popen(
            command(name, folder, self._port),
            env=surroundings(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._seen = psutil.Process(self._process.pid)

    def __enter__(self) -> System:
        try:
            if self.name == "llamacpp":  # it chooses its port itself
                assert self._process.stdout is not None
                lines = (line for line in self._process.stdout if line.startswith(b"http"))
                self._port = int(next(lines).rsplit(b":", 1)[1])
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(self, *problem: object) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, work: Callable[[Ask], Awaitable[T]]) -> T:
        """Its turn."""
        self._signal(signal.SIGCONT)
        try:
            return asyncio.run(self._asked(work))
        finally:
            self._signal(signal.SIGSTOP)

    def cpu_seconds(self) -> float:
        """What the processors have done for it so far."""
        all_times = [process.cpu_times() for process in self._processes()]
        return float(sum(times.user + times.system for times in all_times))

    def _processes(self) -> list[psutil.Process]:
        return [self._seen, *self._seen.children(recursive=True)]

    def _signal(self, number: int) -> None:
        for process in self._processes():
            process.send_signal(number)

    def adapter_ms(self) -> float:
        """Milliseconds to load an adapter beside the others; the engine alone can be asked."""

        async def asked(_: Ask) -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"null\n")
            told = float(await reader.readline())
            writer.close()
            return round(told, 1)

        return self.run(asked)

    async def _asked(self, work: Callable[[Ask], Awaitable[T]]) -> T:
        if self.name == "raw":
            return await work(lambda text, tokens: ask_alone(self._port, text, tokens))
        return await work(lambda text, tokens: ask_over_http(self._port, self._model, text, tokens))

    def _wait(self) -> None:
        for _ in range(5 * START_SECONDS):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended with status {self._process.returncode}")
            time.sleep(0.2)
        raise SystemExit(f"{self.name} did not start in {START_SECONDS} seconds")


async def ask_over_http(port: int, model: str, text: str, tokens: int) -> Told:
    """Ask a server that speaks OpenAI's API.

    The bytes are looked at when all of them are there: a client that reads each event would take a tenth of both cores.
    """
    asked = {"model": model, "stream": True, "max_tokens": tokens, "temperature": 0}
    asked |= {"messages": [{"role": "user", "content": text}], "stream_options": {"include_usage": True}}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    begun, first, told = time.perf_counter(), 0.0, bytearray()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    while not told.endswith(LAST_CHUNK) and (piece := await reader.read(1 << 16)):
        told += piece
        if not first and WORDS.search(told):
            first = time.perf_counter() - begun
    whole = time.perf_counter() - begun
    writer.close()
    if not told.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"{model} at port {port} answered: {told[:300].decode(errors='replace')}")
    counts = [int(count) for count in USAGE.findall(told)]
    return Told(first, whole, max(counts, default=0) or len(WORDS.findall(told)))


async def ask_alone(port: int, text: str, tokens: int) -> Told:
    """Ask the engine alone, which measures itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json.dumps([text, tokens]).encode() + b"\n")
    told = Told(*json.loads(await reader.readline()))
    writer.close()
    return told


def command(name: str, folder: Path, port: int) -> list[str]:
    """How a system is started."""
    if name == "transformers":
        return [
            *(str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--device", "cpu"),
            *("--dtype", "bfloat16", "--port", str(port), "--continuous-batching"),
            *("--cb-num-blocks", "512", "--cb-max-batch-tokens", "512"),
        ]
    programs = {
        "raw": RAW,
        "sonneteer": OURS.format(opened="engine_chat"),
        "sonneteer-llamacpp": OURS.format(opened="gguf_chat"),
        "llamacpp": LLAMA_CPP,
    }
    return [sys.executable, "-c", programs[name], str(folder), str(port)]


def surroundings(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of every system."""
    return {**variables, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def write_model(folder: Path, layers: int) -> None:
    """A model of chance with the bundled tokenizer and template."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from sonneteer.models.places import BUNDLED

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
    from sonneteer.models.hardware import apart
    from sonneteer.models.load import open_folder

    def engine() -> AnsweringEngine:
        model = open_folder("bench", folder)
        model.network.to(torch.bfloat16)
        return AnsweringEngine(model, Limits(seats=SEATS), keeps_network=False)

    return EngineChat(apart(engine))


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
