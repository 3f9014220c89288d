"""The engine alone, asked over a plain socket: a line for each answer, and none while it is written."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving_systems import Told, engine_chat, write_adapter
from sonneteer.chat import Answer, Options, Piece
from sonneteer.records import Message, Prompt


def serve(folder: Path, port: int) -> None:
    """Answer lines `[text, tokens]` by `[first, whole, tokens]`, and `null` by an adapter's milliseconds."""
    asyncio.run(_serve(folder, port))


async def _serve(folder: Path, port: int) -> None:
    chat = engine_chat(folder)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line := await reader.readline():  # who only looks whether somebody listens says nothing
            asked = json.loads(line)
            told = list(await _answer(chat, *asked)) if asked else _adapter_ms(chat, folder)
            writer.write(json.dumps(told).encode() + b"\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


async def _answer(chat: Any, text: str, tokens: int) -> Told:
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    firsts: list[float] = []
    over: asyncio.Future[Answer] = loop.create_future()

    def tell(piece: Piece | Exception) -> None:
        if isinstance(piece, Exception):
            loop.call_soon_threadsafe(over.set_exception, piece)
        elif piece.answer is not None:
            loop.call_soon_threadsafe(over.set_result, piece.answer)
        else:
            firsts.append(time.perf_counter())

    chat.begin(Prompt(messages=(Message(role="user", text=text),)), Options(max_tokens=tokens), tell)
    answer = await over
    end = time.perf_counter()
    return Told((firsts or [end])[0] - begun, end - begun, answer.answer_tokens)


def _adapter_ms(chat: Any, folder: Path) -> float:
    paths = [folder / f"adapter-{seed}" for seed in range(5)]
    for seed, path in enumerate(paths):
        write_adapter(folder, path, seed)
    spent = []
    for path in paths:
        begun = time.perf_counter()
        chat.engine.load_adapter(path.name, path)
        spent.append(time.perf_counter() - begun)
    return 1000 * median(spent)
