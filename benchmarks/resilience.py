"""What the server withstands: clients of all kinds, and everything else being killed, locked or full meanwhile.

    python -m benchmarks.resilience [--minutes 10] [--quick] [--database sqlite|postgres] [--json PATH]
        [--engine embedded|llamacpp|vllm] [--disk FOLDER]

64 clients ask the bundled model: patiently, in streams, hanging up, slowly, too much, and nonsense. Meanwhile the
server is killed (kill -9) and started again, and so is the engine where it is a process of its own; the database goes
away (PostgreSQL: kill -9; SQLite: locked by somebody else), the server's disk is full, and the model is rolled back. In
the end every answer that a client has got must be in the catalogue once, every place in the queue free, every error as
documented.

The engine `llamacpp` is llama.cpp with q8_0 weights; `vllm` is a stand-in that speaks vLLM's protocol. Without
`--disk` the server may write no more to any file; with it the workspace lies in that folder, on a file system of its
own, which is filled to the last byte. No rights are needed for one:

    unshare -rm sh -c 'mount -t tmpfs -o size=64m none /mnt && python -m benchmarks.resilience --disk /mnt'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from tests.store.postgres import Postgres, running_postgres

from benchmarks.resilience_clients import Client, Seen, connected, read_reply, request
from benchmarks.resilience_server import NAME, QUEUE, SEATS
from sonneteer.store import Store

CLIENTS, QUICK_MINUTES = 64, 0.7
SERVER_DIES, ENGINE_DIES, DATABASE_GOES, DISK_FILLS, ROLLS_BACK = 0.2, 0.32, 0.45, 0.6, 0.85
"""When what happens, as shares of the time."""
AWAY_SHARE = 0.08
"""How long database and disk stay away."""


def main() -> None:
    """Torment, count and print; exit status 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--quick", action="store_true", help="a run of less than a minute")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--engine", choices=["embedded", "llamacpp", "vllm"], default="embedded")
    parser.add_argument("--disk", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    minutes = QUICK_MINUTES if options.quick else options.minutes
    found = measured(minutes, options.clients, options.database, options.engine, options.disk)
    for name, value in found.items():
        print(f"{name:>32}  {value}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if broken := broken_promises(found):
        raise SystemExit("BROKEN: " + "; ".join(broken))


def measured(
    minutes: float, clients: int, database: str, engine: str = "embedded", disk: Path | None = None
) -> dict[str, Any]:
    """The counts of one run."""
    is_postgres = database == "postgres"
    postgres: AbstractContextManager[Postgres | None] = running_postgres() if is_postgres else nullcontext()
    with tempfile.TemporaryDirectory(dir=disk) as folder, postgres as server:
        storm = Storm(Path(folder), server, engine, disk)
        try:
            asyncio.run(storm.rage(60 * minutes, clients))
            return {"engine": engine, "disk": str(disk or "")} | storm.result(minutes, clients, database)
        finally:
            storm.kill()


def broken_promises(found: dict[str, Any]) -> list[str]:
    """What did not hold."""
    none = ("lost", "doubled", "feedback lost", "misshapen", "still running", "still waiting", "refused in the end")
    return [f"{name}: {found[name]}" for name in none if found[name]]


class Storm:
    """One server with its database, and what happens to them."""

    def __init__(self, folder: Path, postgres: Postgres | None, engine: str, disk: Path | None) -> None:
        self._folder = folder
        self._engine = engine
        self._disk = disk
        self._postgres = postgres
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self._url = postgres.url if postgres else None
        self._seen = Seen()
        self._memory: list[float] = []
        self._events: dict[str, float] = {}
        self._server = self._started()

    async def rage(self, seconds: float, clients: int) -> None:
        """Clients and calamities at the same time; returns when all is quiet again."""
        await asyncio.to_thread(self._wait_until_ready)
        is_over = asyncio.Event()
        tasks = [asyncio.create_task(Client(self._port, self._seen, seed).work(is_over)) for seed in range(clients)]
        watching = asyncio.create_task(self._watch_memory(is_over))
        for when, happens in self._calamities(seconds):
            await asyncio.sleep(max(0.0, when - time.monotonic()))
            await asyncio.to_thread(happens)
        is_over.set()
        await asyncio.gather(*tasks, watching)
        await asyncio.to_thread(self._wait_until_written)
        self._events["refused in the end"] = await self._fill_all_places()

    def result(self, minutes: float, clients: int, database: str) -> dict[str, Any]:
        """What was seen, beside what is in the catalogue."""
        store, answered = Store(self._folder, self._url), self._seen.answered
        written = [exchange.id for exchange in store.traffic.exchanges(NAME)]
        said = {feedback.id for feedback in store.traffic.feedback(NAME)}
        metrics = self._metrics()
        return {
            "database": database,
            "minutes": minutes,
            "clients": clients,
            **dict(sorted(self._seen.counts.items())),
            "lost": len(set(answered) - set(written)),
            "doubled": len(written) - len(set(written)),
            "written, but not got": len(set(written) - set(answered)),
            "feedback lost": len(set(self._seen.said) - said),
            "misshapen": self._seen.misshapen[:5],
            "still running": metrics["vllm:num_requests_running"],
            "still waiting": metrics["vllm:num_requests_waiting"],
            **self._events,
            **self._memory_figures(),
        }

    def kill(self) -> None:
        """kill -9, its engine included: what a container is killed with."""
        for process in (*psutil.Process(self._server.pid).children(), self._server):
            process.kill()
        self._server.wait()

    def _calamities(self, seconds: float) -> Iterator[tuple[float, Callable[[], None]]]:
        begun, pause = time.monotonic(), AWAY_SHARE * seconds
        yield begun + SERVER_DIES * seconds, self._server_dies
        if self._engine != "embedded":
            yield begun + ENGINE_DIES * seconds, self._engine_dies
        yield begun + DATABASE_GOES * seconds, lambda: self._database_goes(pause)
        yield begun + DISK_FILLS * seconds, lambda: self._disk_fills(pause)
        yield begun + ROLLS_BACK * seconds, self._roll_back
        yield begun + seconds, lambda: None

    def _server_dies(self) -> None:
        self.kill()
        self._memory.clear()
        self._server = self._started()
        self._wait_until_ready()

    def _engine_dies(self) -> None:
        """kill -9 in the middle of answers; the server stays, and says that one should come later."""
        begun, refused = (
            time.perf_counter(),
            self._seen.counts["error 529"] + self._seen.counts["error within a stream"],
        )
        for process in psutil.Process(self._server.pid).children():
            process.kill()
        body = {"model": NAME, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello!"}]}
        raw = json.dumps(body).encode()
        until(lambda: b"stop_reason" in self._get("/v1/messages", raw), "the engine does not come back")
        self._events["seconds until the engine was back"] = round(time.perf_counter() - begun, 2)
        self._events["told to come later meanwhile"] = self._sent_away() - refused

    def _sent_away(self) -> int:
        """How often clients were told to come later, or that their stream ends early."""
        return sum(self._seen.counts[name] for name in ("error 503", "error 529", "error within a stream"))

    def _database_goes(self, pause: float) -> None:
        if self._postgres:
            self._postgres.kill()
            time.sleep(pause)
            self._postgres.start()
        else:
            with sqlite3.connect(self._folder / "catalogue.sqlite", timeout=60, isolation_level=None) as other:
                other.execute("BEGIN EXCLUSIVE")
                time.sleep(pause)
                other.execute("ROLLBACK")
            other.close()

    def _disk_fills(self, pause: float) -> None:
        with self._filled(self._disk) if self._disk else self._file_size(0):
            time.sleep(pause)

    @contextmanager
    def _filled(self, disk: Path) -> Iterator[None]:
        """Not a byte is left, whatever is freed meanwhile."""
        filler = disk / "filler"
        is_over = threading.Event()
        thread = threading.Thread(target=_fill, args=(filler, is_over))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self._events["MB that filled the disk"] = filler.stat().st_size // 1024**2
            filler.unlink()

    @contextmanager
    def _file_size(self, most: int) -> Iterator[None]:
        """No file of the server may become larger: every write is refused."""
        kept = resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE, (most, kept[1]))
        try:
            yield
        finally:
            resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE, kept)

    def _roll_back(self) -> None:
        """By the command, as a person would."""
        before = self._seen.counts["not reached"]
        command = [sys.executable, "-m", "sonneteer", "rollback", NAME, "--workspace", str(self._folder)]
        begun, worked = time.perf_counter(), _children_seconds()
        subprocess.run(command, env=self._environment(), check=True, stdout=subprocess.DEVNULL)
        self._events["seconds of `rollback`"] = round(time.perf_counter() - begun, 2)
        self._events["of the processor"] = round(_children_seconds() - worked, 2)
        while f'model_id="{NAME}-1"' not in self._metrics_text():
            time.sleep(0.01)
        self._events["seconds until it was in force"] = round(time.perf_counter() - begun, 2)
        self._events["dropped by the roll-back"] = self._seen.counts["not reached"] - before

    async def _fill_all_places(self) -> int:
        """As many at once as there are places. Returns how many were refused: so many places have leaked."""
        body = {"model": NAME, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello!"}]}
        raw = request("POST", "/v1/messages", json.dumps(body).encode())

        async def ask() -> int:
            async with connected(self._port) as (reader, writer):
                writer.write(raw)
                return read_reply(await reader.read()).status

        statuses = await asyncio.gather(*(ask() for _ in range(SEATS + QUEUE)))
        return sum(status != 200 for status in statuses)

    def _started(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "benchmarks.resilience_server",
            str(self._folder),
            str(self._port),
            self._engine,
        ]
        return subprocess.Popen(command, env=self._environment(), stdout=subprocess.DEVNULL)

    def _environment(self) -> dict[str, str]:
        return os.environ | ({"SONNETEER_CATALOGUE": self._url} if self._url else {})

    def _wait_until_ready(self) -> None:
        until(lambda: b"ready" in self._get("/health"), "the server does not start")

    def _wait_until_written(self) -> None:
        until(lambda: self._metrics()["sonneteer:exchanges_waiting"] == 0, "exchanges are still not written")

    async def _watch_memory(self, is_over: asyncio.Event) -> None:
        """Of the server, in megabytes."""
        while not is_over.is_set():
            status = Path(f"/proc/{self._server.pid}/status").read_text()
            kilobytes = [line.split()[1] for line in status.split("\n") if line.startswith("VmRSS")]
            self._memory += [int(each) / 1024 for each in kilobytes]
            await asyncio.sleep(0.5)

    def _memory_figures(self) -> dict[str, int]:
        """Of the server that was started last: after a third of its time, and in the last tenth."""
        sizes = self._memory
        third, tenth = len(sizes) // 3, max(1, len(sizes) // 10)
        return {
            "MB after a third": round(median(sizes[third : third + tenth])),
            "MB in the end": round(median(sizes[-tenth:])),
        }

    def _metrics(self) -> dict[str, float]:
        """The server's own figures, added up over their labels."""
        found: dict[str, float] = {}
        for line in self._metrics_text().split("\n"):
            if line and not line.startswith("#"):
                name, value = line.split("{")[0].split(" ")[0], line.rsplit(" ", 1)[1]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    def _metrics_text(self) -> str:
        return self._get("/metrics").decode()

    def _get(self, path: str, body: bytes | None = None) -> bytes:
        """Nothing where the server does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", body, timeout=30) as reply:
                return bytes(reply.read())
        except OSError:
            return b""


def _fill(filler: Path, is_over: threading.Event) -> None:
    with filler.open("ab", buffering=0) as file:
        size = 1024**2
        while not is_over.is_set():
            try:
                file.write(bytes(size))
            except OSError:  # full: the last bytes one by one, and again what somebody has freed
                size = max(1, size // 2)
                is_over.wait(0.0 if size > 1 else 0.01)


def _children_seconds() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def until(claim: Callable[[], bool], otherwise: str, seconds: float = 180.0) -> None:
    """Wait until the claim is true."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            raise SystemExit(otherwise)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
