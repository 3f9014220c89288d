"""Speed of answers: Sonneteer's server, its engine alone, and other servers, in turns.

    python -m benchmarks.serving [--layers 8] [--clients 1 4 16 64] [--tokens 48] [--rounds 3] [--json PATH]

Random weights in SmolLM2-135M's width, in bfloat16, with the bundled tokenizer. Each client asks once, all at the same
time; a stream's first piece is its first token; of the rounds the medians are told. `raw` is the engine without HTTP,
so what the server costs is seen beside it. `first_cached_ms` is the first token of a prompt whose beginning of 600
tokens has been read before, `first_unread_ms` of one whose beginning is new. `adapter_ms` is what it takes to put an
adapter (rank 16, all linear layers) beside the others while the engine runs. `llamacpp` is llama.cpp's own server with
q8_0 weights, `sonneteer-llamacpp` the same behind Sonneteer's.
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
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import serving_systems as systems

Row = dict[str, Any]
SHARED = "the cat sat on the mat " * 100


class Told(NamedTuple):
    """How one answer came."""

    first: float
    """Seconds to the first token."""
    whole: float
    """Seconds to the end."""
    tokens: int


Ask = Callable[[str, int], Awaitable[Told]]
"""Asks for so many tokens."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=["raw", "sonneteer", "transformers"], choices=systems.ALL)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        systems.write_model(Path(folder), options.layers)
        rows = [row for system in options.systems for row in measured(system, Path(folder), options)]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text("\n".join(json.dumps(row) for row in rows) + "\n")


def measured(system: str, folder: Path, options: argparse.Namespace) -> list[Row]:
    """One system's figures."""
    if system == "raw":
        settings = json.dumps({name: getattr(options, name) for name in ("clients", "tokens", "rounds")})
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.serving_systems", str(folder), settings],
            env=systems.surroundings(os.environ),
            stdout=subprocess.PIPE,
            check=True,
        )
        rows: list[Row] = json.loads(told.stdout)
        return rows
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = systems.command(system, folder, port)
    settings = systems.surroundings(os.environ)
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            if system == "llamacpp":  # it chooses its port itself
                assert process.stdout is not None
                port = next(int(line.rsplit(b":", 1)[1]) for line in process.stdout if line.startswith(b"http"))
            wait_for(port, process)
            return asyncio.run(over_http(system, port, systems.name_of(system, folder), vars(options)))
        finally:
            process.kill()


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


async def over_http(system: str, port: int, model: str, options: Mapping[str, Any]) -> list[Row]:
    """The figures of a server that speaks OpenAI's API."""
    import httpx2

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300, limits=httpx2.Limits()) as client:

        async def ask(text: str, tokens: int) -> Told:
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
            return Told(first, time.perf_counter() - begun, told or pieces)

        return await figures(system, ask, options)


async def figures(system: str, ask: Ask, options: Mapping[str, Any]) -> list[Row]:
    """The figures for each number of clients, and for a shared beginning."""
    for _ in range(2):
        await ask("warm up", 8)
    rows = [await _together(system, ask, count, options) for count in options["clients"]]
    new = [(await ask(f"{number} {SHARED}", 2)).first for number in range(3)]
    again = [(await ask(f"2 {SHARED}{number}?", 2)).first for number in range(5)]
    rows.append(
        {
            "system": system,
            "first_unread_ms": round(1000 * median(new), 1),
            "first_cached_ms": round(1000 * median(again), 1),
        }
    )
    return rows


async def _together(system: str, ask: Ask, count: int, options: Mapping[str, Any]) -> Row:
    firsts, speeds, totals = [], [], []
    for number in range(options["rounds"] if count > 1 else 2 * options["rounds"] + 1):
        begun = time.perf_counter()
        asked = (ask(f"{count} {number} {client} What now?", options["tokens"]) for client in range(count))
        told = await asyncio.gather(*asked)
        totals.append(sum(one.tokens for one in told) / (time.perf_counter() - begun))
        firsts += [one.first for one in told]
        speeds += [(one.tokens - 1) / (one.whole - one.first) for one in told if one.whole > one.first]
    return {
        "system": system,
        "clients": count,
        "first_ms": round(1000 * median(firsts), 1),
        "stream_tokens_s": round(median(speeds), 1),
        "total_tokens_s": round(median(totals), 1),
    }


if __name__ == "__main__":
    main()
