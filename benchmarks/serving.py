"""Speed of answers: Sonneteer's server, its engine alone, and other servers, in turns.

    python -m benchmarks.serving [--layers 8] [--clients 1 4 16 64] [--tokens 48] [--rounds 3] [--json PATH]

Random weights in SmolLM2-135M's width, in bfloat16, with the bundled tokenizer. Each client asks once, all at the same
time, and reads bytes only; a stream's first piece is its first token; of the rounds the medians are told. In every
round each system has its turn, while the others are stopped: what else the machine does disturbs all alike. `cpu_ms` is
the processors' time for one token of an answer, in the server's process; the clients are not in it.

`raw` is the engine without HTTP, so what the server costs is seen beside it. `first_cached_ms` is the first token of a
prompt whose beginning of 600 tokens has been read before, `first_unread_ms` of one whose beginning is new. `adapter_ms`
is what it takes to put an adapter (rank 16, all linear layers) beside the others while the engine runs. `llamacpp` is
llama.cpp's own server with q8_0 weights, `sonneteer-llamacpp` the same behind Sonneteer's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import serving_systems as systems
from benchmarks.serving_systems import Ask, System

Row = dict[str, Any]
SHARED = "the cat sat on the mat " * 100


class Round(NamedTuple):
    """What one system did in one round."""

    firsts: list[float]
    """Seconds to each first token."""
    speeds: list[float]
    """Tokens per second of each stream after its first."""
    total: float
    """Tokens per second of all."""
    cpu: float
    """Seconds of the processors for each token."""


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
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        systems.write_model(Path(folder), options.layers)
        running = [stack.enter_context(System(name, Path(folder))) for name in options.systems]
        for row in measured(running, options):
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            rows.append(row)
    if options.json:
        options.json.write_text("\n".join(json.dumps(row) for row in rows) + "\n")


def measured(running: list[System], options: argparse.Namespace) -> Iterator[Row]:
    """The figures for each number of clients, for a shared beginning, and for adapters."""
    for system in running:
        system.run(_warm)
    for count in options.clients:
        rounds: dict[str, list[Round]] = {system.name: [] for system in running}
        for number in range(options.rounds if count > 1 else 2 * options.rounds + 1):
            for system in running:
                rounds[system.name].append(_round(system, count, number, options.tokens))
        yield from (_row(name, count, told) for name, told in rounds.items())
    for system in running:
        yield {"system": system.name} | system.run(_beginnings)
    for system in running:
        if system.name == "raw":
            yield {"system": "raw", "adapter_ms": system.adapter_ms()}


def _round(system: System, count: int, number: int, tokens: int) -> Round:
    async def all_clients(ask: Ask) -> Round:
        begun, spent = time.perf_counter(), system.cpu_seconds()
        asked = (ask(f"{count} {number} {client} What now?", tokens) for client in range(count))
        told = await asyncio.gather(*asked)
        written = sum(one.tokens for one in told)
        total = written / (time.perf_counter() - begun)
        speeds = [(one.tokens - 1) / (one.whole - one.first) for one in told if one.whole > one.first]
        return Round([one.first for one in told], speeds, total, (system.cpu_seconds() - spent) / written)

    return system.run(all_clients)


def _row(name: str, count: int, rounds: list[Round]) -> Row:
    return {
        "system": name,
        "clients": count,
        "first_ms": round(1000 * median(first for told in rounds for first in told.firsts), 1),
        "stream_tokens_s": round(median(speed for told in rounds for speed in told.speeds), 1),
        "total_tokens_s": round(median(told.total for told in rounds), 1),
        "cpu_ms": round(1000 * median(told.cpu for told in rounds), 2),
    }


async def _warm(ask: Ask) -> None:
    for _ in range(2):
        await ask("warm up", 8)


async def _beginnings(ask: Ask) -> Row:
    new, again = [], []
    for number in range(7):
        new.append((await ask(f"{number} {SHARED}", 2)).first)
        again.append((await ask(f"0 {SHARED}{number}?", 2)).first)
    return {"first_unread_ms": round(1000 * median(new), 1), "first_cached_ms": round(1000 * median(again), 1)}


if __name__ == "__main__":
    main()
