"""Speed of answers over HTTP: Sonneteer's server and transformers' own (with continuous batching), in turns.

    python benchmarks/serving.py [--layers 8] [--clients 1 4 16] [--tokens 48] [--json PATH]

Random weights in SmolLM2-135M's width, in bfloat16, with the bundled tokenizer. Each client asks once, all at the same
time; a stream's first piece is its first token. `first_cached` is the first token of a prompt whose beginning of 600
tokens has been read before, `first_unread` of one whose beginning is new.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

OURS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import sonneteer.quiet
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.engine.engine import AnsweringEngine, Limits
from sonneteer.models.load import open_folder
from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, ServedModel, serve
import torch
model = open_folder("bench", Path(sys.argv[1]))
model.network.to(torch.bfloat16)
chat = EngineChat(AnsweringEngine(model, Limits(seats=64)))
served = ServedModel("bench", chat, datetime.now(UTC), chat.context)
serve([served], ServingSettings(port=int(sys.argv[2])), Keys(), print)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--systems", nargs="+", default=["sonneteer", "transformers"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), options.layers)
        rows = [row for system in options.systems for row in measured(system, Path(folder), options)]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text("\n".join(json.dumps(row) for row in rows) + "\n")


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


def measured(system: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One server's figures."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = {
        "sonneteer": [sys.executable, "-c", OURS, str(folder), str(port)],
        "transformers": [
            *(str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--device", "cpu"),
            *("--dtype", "bfloat16", "--port", str(port), "--continuous-batching"),
            *("--cb-num-blocks", "512", "--cb-max-batch-tokens", "512"),
        ],
    }
    settings = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with subprocess.Popen(
        commands[system], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(port, process)
            return asyncio.run(asked(system, port, str(folder) if system == "transformers" else "bench", options))
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise SystemExit(f"the server ended with status {process.returncode}")
        time.sleep(0.2)
    raise SystemExit("the server did not start in two minutes")


async def asked(system: str, port: int, model: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The figures for each number of clients, and for a shared beginning."""
    import httpx2

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300, limits=httpx2.Limits()) as client:

        async def ask(text: str, tokens: int) -> tuple[float, float, int]:
            """Seconds to the first token, seconds of the whole, tokens."""
            body = {"model": model, "stream": True, "max_tokens": tokens, "temperature": 0}
            body |= {"messages": [{"role": "user", "content": text}], "stream_options": {"include_usage": True}}
            begun, first, pieces, told = time.perf_counter(), 0.0, 0, 0
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    event = json.loads(line[6:])
                    told = (event.get("usage") or {}).get("completion_tokens") or told
                    if any(choice["delta"].get("content") for choice in event["choices"]):
                        first = first or time.perf_counter() - begun
                        pieces += 1
            return first, time.perf_counter() - begun, told or pieces

        await ask("warm up", 8)
        rows = []
        for count in options.clients:
            begun = time.perf_counter()
            told = await asyncio.gather(
                *(ask(f"{count} {number} What now?", options.tokens) for number in range(count))
            )
            seconds = time.perf_counter() - begun
            speeds = [(tokens - 1) / (whole - first) for first, whole, tokens in told if whole > first and tokens > 1]
            row: dict[str, Any] = {"system": system, "clients": count}
            row["first_ms"] = round(1000 * median(first for first, _, _ in told))
            row["stream_tokens_s"] = round(median(speeds), 1) if speeds else None
            row["total_tokens_s"] = round(sum(tokens for _, _, tokens in told) / seconds, 1)
            rows.append(row)
        new = [(await ask(f"{number} " + "the cat sat on the mat " * 100, 2))[0] for number in range(3)]
        again = [(await ask("2 " + "the cat sat on the mat " * 100 + f"{number}?", 2))[0] for number in range(3)]
        rows.append(
            {"system": system, "first_unread_ms": round(1000 * min(new)), "first_cached_ms": round(1000 * min(again))}
        )
        return rows


if __name__ == "__main__":
    main()
