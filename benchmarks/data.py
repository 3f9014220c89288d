"""How fast the data room is, step by step, and beside other libraries on the same rows.

    python -m benchmarks.data [--rows 10000 100000 1000000] [--quick] [--json PATH]

Conversations are written by chance: 5 % exact copies, 5 % copies with two words changed, 1 % torn lines. Each size
runs in a process of its own, so that its peak memory is its own, and speeds are by its processor time, so that they
mean the same on a busy machine. Peers are measured where they are installed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sonneteer.data.answers import contradictory
from sonneteer.data.bonds import member_of
from sonneteer.data.candidates import Candidate
from sonneteer.data.clean import Counted, without_duplicates
from sonneteer.data.freeze import Draft, freeze
from sonneteer.data.ledger import Ledger
from sonneteer.data.locations import fetch
from sonneteer.data.near_duplicates import near_duplicates, shingles
from sonneteer.data.sources import gather
from sonneteer.data.split import split
from sonneteer.data.steps import row_steps
from sonneteer.recipe.sections import CleanSettings, DataSettings, SourceSettings
from sonneteer.records import KEPT
from sonneteer.store import Store

THRESHOLD = 0.8
PEER_ROWS = 20_000
"""Peers are measured on at most so many rows, and pay for each row about the same beyond."""
SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "ing")]


class Measured(NamedTuple):
    """One line of the result."""

    workload: str
    system: str
    metric: str
    value: float
    unit: str


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """About one kilobyte a row. A copy says in its tag `copy_of` which row it is of."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(20_000)]
    recent: list[tuple[int, list[str]]] = []
    with open(path, "w") as file:
        for number in range(rows):
            dice = rng.random()
            if dice < 0.01:
                file.write('{"messages": [{"role": "us\n')
                continue
            original, text = number, rng.choices(words, k=rng.randint(60, 180))
            if recent and dice < 0.11:
                original, text = rng.choice(recent)
                text = list(text)
                for _ in range(0 if dice < 0.06 else 2):
                    text[rng.randrange(len(text))] = rng.choice(words)
            elif len(recent) < 5000:
                recent.append((original, text))
            file.write(json.dumps(_row(text, original, number, rng.randrange(rows))) + "\n")


def _row(text: list[str], original: int, number: int, person: int) -> dict[str, Any]:
    asked, said = " ".join(text[: len(text) // 3]), " ".join(text[len(text) // 3 :])
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"messages": turns, "person": str(person), "tags": {"copy_of": str(original)}}


def measured(rows: int) -> Iterator[Measured]:
    """The steps of the data room on so many rows."""
    workload = f"{rows} conversations"
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.jsonl", rows)
        begun = time.process_time()
        times: dict[str, float] = {}
        candidates = _prepared(Path(folder), times)
        total = time.process_time() - begun
        for step, seconds in times.items():
            yield Measured(workload, "sonneteer", step, rows / seconds, "rows/CPU s")
        yield Measured(workload, "sonneteer", "all steps", rows / total, "rows/CPU s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        yield Measured(workload, "sonneteer", "peak memory", peak, "GB")
        some = candidates[:PEER_ROWS]
        yield from _near_duplicate_peers(some)


def _prepared(folder: Path, times: dict[str, float]) -> list[Candidate]:
    source = SourceSettings(path="rows.jsonl")
    data = DataSettings(sources=(source,), bad_rows_share=0.5)
    ledger = Ledger()

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        result = work()
        times[name] = time.process_time() - begun
        return result

    files = [timed("load", lambda: fetch(source, folder))]
    steps = row_steps(CleanSettings(rules="chat"), None)
    gathered = timed("read, normalise, rules", lambda: gather(data, files, steps, ledger, lambda text: None))
    unique = timed("exact duplicates", lambda: without_duplicates(gathered.candidates, ledger))
    gathered.candidates.clear()
    alike = timed("near-duplicates", lambda: near_duplicates(unique, THRESHOLD))
    for index, cluster in enumerate(alike.clusters):
        unique[index].cluster = unique[cluster].id
    timed("contradictions", lambda: contradictory(unique))
    dealt = timed("split", lambda: split([member_of(one, data.keep_together) for one in unique], data, 0))
    sides: dict[Any, list[Counted]] = {side: [] for side in KEPT}
    for one, side in zip(unique, dealt.sides, strict=True):
        assert side is not None
        ledger.enter(one.entry(side))
        sides[side].append(Counted(one, 1, 1))
    store = Store(folder / "workspace")
    timed("freeze", lambda: freeze(Draft("bench", "", gathered.sources, sides, ledger), store))
    return unique


def _near_duplicate_peers(candidates: Sequence[Candidate]) -> Iterator[Measured]:
    """Rows per second, and the share of planted near-copies that are found together with their original."""
    workload = f"near-duplicates of {len(candidates)} conversations"
    begun = time.process_time()
    clusters = near_duplicates(candidates, THRESHOLD).clusters
    yield Measured(workload, "sonneteer", "speed", len(candidates) / (time.process_time() - begun), "rows/CPU s")
    yield Measured(workload, "sonneteer", "recall of planted copies", _recall(candidates, clusters), "share")
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        return
    begun = time.process_time()
    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    found = list(range(len(candidates)))
    for place, candidate in enumerate(candidates):
        signature = MinHash(num_perm=128)
        signature.update_batch([shingle.encode() for shingle in set(shingles(candidate.example))])
        hits = index.query(signature)
        found[place] = min((found[hit] for hit in hits), default=place)
        index.insert(place, signature)
    yield Measured(workload, "datasketch", "speed", len(candidates) / (time.process_time() - begun), "rows/CPU s")
    yield Measured(workload, "datasketch", "recall of planted copies", _recall(candidates, found), "share")


def _recall(candidates: Sequence[Candidate], clusters: Sequence[int]) -> float:
    first: dict[str, int] = {}
    hits = []
    for candidate, cluster in zip(candidates, clusters, strict=True):
        original = candidate.example.tags["copy_of"]
        if original in first:
            hits.append(first[original] == cluster)
        first.setdefault(original, cluster)
    return sum(hits) / max(1, len(hits))


def main() -> None:
    """Measure each size in its own process, print a table, and write JSON lines where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--quick", action="store_true", help="2,000 rows only: whether it works")
    parser.add_argument("--json", type=Path, help="write the results here, one a line")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        for line in measured(given.alone):
            print(json.dumps(line._asdict()), flush=True)
        return
    lines: list[str] = []
    for rows in [2_000] if given.quick else given.rows:
        command = [sys.executable, "-m", "benchmarks.data", "--alone", str(rows)]
        lines += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in map(json.loads, lines):
        print(
            f"{line['workload']:>42}  {line['system']:>10}  {line['metric']:<26} {line['value']:>12,.2f} {line['unit']}"
        )
    if given.json:
        given.json.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
