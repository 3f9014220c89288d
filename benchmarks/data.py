"""How fast the data room is, step by step, and beside the plain chain of other libraries on the same rows.

    python -m benchmarks.data [--rows 10000 100000 1000000] [--quick] [--json PATH] [--peers FOLDER]

Conversations are written by chance: 5 % exact copies, 5 % copies with two words changed, 1 % torn lines, and in every
tenth an e-mail address, a phone number or a card. Each size runs in a process of its own, and so its peak memory is its
own. Single steps are by processor time, so that they mean the same on a busy machine; the whole, `prepare`, uses all
cores and is by the clock and by processor time. The plain chain is Presidio, and datasketch, text-dedup or data-juicer:
`data_peers.py` calls them in environments in FOLDER (`python dev.py bench` makes them in .venv/peers). Whichever is not
there, or fails, is left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
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
from sonneteer.data.near_duplicates import jaccard, near_duplicates, shingles
from sonneteer.data.prepare import prepare
from sonneteer.data.private import without_personal_data
from sonneteer.data.sources import gather
from sonneteer.data.split import split
from sonneteer.data.steps import row_steps
from sonneteer.privacy import Guard
from sonneteer.privacy.find import Finder
from sonneteer.progress import Silent
from sonneteer.recipe.sections import CleanSettings, DataSettings, PrivacySettings, Recipe, SourceSettings
from sonneteer.records import KEPT, Example, Rendered
from sonneteer.store import Store

HERE = Path(__file__).resolve().parent
THRESHOLD = 0.8
PEER_ROWS = 20_000
"""Peers are measured on at most so many rows, and pay for each row about the same beyond."""
PERSONAL = (
    " write to ann{number}@example.org",
    " call me on (415) 555-{number:04}",
    " my card is 4111 1111 1111 1111",
)
"""What must be found: one piece in every tenth row."""
MARKS = ("@example.org", "(415) 555-", "4111 1111")
PRESIDIO_ROWS = 1_000
PEERS = {"presidio": "data", "datasketch": "data", "text-dedup": "data", "data-juicer": "data-juicer"}
"""The environment that each peer is installed in."""
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
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
    if number % 10 == 0:
        asked += PERSONAL[number // 10 % len(PERSONAL)].format(number=number % 10_000)
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"messages": turns, "person": str(person), "tags": {"copy_of": str(original)}}


class Words:
    """Every word is a token: what is measured is the data room, and not a tokenizer."""

    fingerprint = "words"

    def renderer(self, examples: Sequence[Example]) -> Words:
        """The same for all examples."""
        return self

    def render(self, example: Example) -> list[Rendered]:
        """Learns the answers."""
        weights = [0.0]
        for message in example.messages:
            weights += [float(message.role == "assistant")] * (len(message.text.split()) + 1)
        return [Rendered(list(range(len(weights))), weights)]


def measured(rows: int, peers: Path) -> Iterator[Measured]:
    """The whole on so many rows; single steps and peers on as many of them as do."""
    workload = f"{rows} conversations"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.jsonl", rows)
        yield from _whole(folder, workload, rows)
    some = min(rows, PEER_ROWS)
    with tempfile.TemporaryDirectory() as name:
        write_rows(Path(name) / "rows.jsonl", some)
        times: dict[str, float] = {}
        candidates = _prepared(Path(name), times)
        for step, seconds in times.items():
            yield Measured(f"{some} of them, step by step", "sonneteer", step, some / seconds, "rows/CPU s")
        yield from _near_duplicate_peers(candidates, peers)
        yield from _personal_data_peers(candidates, peers)


def _whole(folder: Path, workload: str, rows: int) -> Iterator[Measured]:
    """`prepare` as a recipe calls it, on all cores."""
    data = DataSettings(sources=(SourceSettings(path="rows.jsonl"),), bad_rows_share=0.5, max_tokens=100_000)
    recipe = Recipe(name="bench", data=data.model_copy(update={"clean": CleanSettings(rules="chat")}))
    begun, spent = time.perf_counter(), _cpu_seconds()
    with Together() as together:
        dataset = prepare(recipe, folder, Store(folder / "workspace"), Words())
    yield Measured(workload, "sonneteer", "prepare", rows / (time.perf_counter() - begun), "rows/s")
    yield Measured(workload, "sonneteer", "prepare", rows / (_cpu_seconds() - spent), "rows/CPU s")
    yield Measured(workload, "sonneteer", "kept", sum(split.examples for split in dataset.splits.values()), "rows")
    own, children = (resource.getrusage(who).ru_maxrss * 1024 / 1e9 for who in WHO)
    yield Measured(workload, "sonneteer", "peak memory, all processes", together.peak / 1e9, "GB")
    yield Measured(workload, "sonneteer", "peak memory of the first process", own, "GB")
    yield Measured(workload, "sonneteer", "peak memory of the largest other", children, "GB")


class Together:
    """The greatest memory of this process and those that it started, what they share counted once (Linux)."""

    def __init__(self) -> None:
        self.peak = 0
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Together:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._is_over.wait(1):
            others = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            self.peak = max(self.peak, sum(_proportional(id) for id in ("self", *others)))


def _proportional(id: str) -> int:
    """Bytes of a process, what it shares divided by those who share it."""
    try:
        told = Path(f"/proc/{id}/smaps_rollup").read_text()
    except OSError:  # it ended just now
        return 0
    return int(re.search(r"^Pss:\s+(\d+)", told, re.MULTILINE)[1]) * 1024  # type: ignore[index]


def _cpu_seconds() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHO))


def _prepared(folder: Path, times: dict[str, float]) -> list[Candidate]:
    """One step after the other, in one process."""
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
    gathered = timed("read, normalise, rules", lambda: gather(data, files, steps, ledger, Silent()))
    guard = without_personal_data(Guard(PrivacySettings()))
    timed("personal data", lambda: [guard(one.example) for one in gathered.candidates])
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


def _personal_data_peers(candidates: Sequence[Candidate], peers: Path) -> Iterator[Measured]:
    """Rows per second, and the share of planted pieces that are found, ours and Presidio's on the same texts."""
    texts = [" ".join(message.text for message in one.example.messages) for one in candidates[:PRESIDIO_ROWS]]
    workload = f"personal data in {len(texts)} conversations"
    finder = Finder(PrivacySettings())
    is_planted = [any(mark in text for mark in MARKS) for text in texts]

    def lines(system: str, seconds: float, found: Sequence[bool]) -> Iterator[Measured]:
        yield Measured(workload, system, "speed", len(texts) / seconds, "rows/CPU s")
        hits = [is_found for is_there, is_found in zip(is_planted, found, strict=True) if is_there]
        yield Measured(workload, system, "recall of planted pieces", sum(hits) / max(1, len(hits)), "share")

    begun = time.process_time()
    found = [bool(finder.find([text])[0]) for text in texts]
    yield from lines("sonneteer", time.process_time() - begun, found)
    if told := _told("presidio", texts, peers):
        yield from lines("presidio", *told)


def _near_duplicate_peers(candidates: Sequence[Candidate], peers: Path) -> Iterator[Measured]:
    """Rows per second, and the share of planted near-copies that are found: of all, and of those that are as near."""
    workload = f"near-duplicates of {len(candidates)} conversations"
    texts = [" ".join(message.text for message in one.example.messages) for one in candidates]
    copies = _copies(candidates)
    near = [copy for copy in copies if copy.share >= THRESHOLD]

    def lines(system: str, seconds: float, found: Sequence[bool]) -> Iterator[Measured]:
        yield Measured(workload, system, "speed", len(texts) / seconds, "rows/CPU s")
        for what, of in (("near copies", near), ("all planted copies", copies)):
            hits = [found[copy.place] or found[copy.original] for copy in of]
            yield Measured(workload, system, f"recall of {what}", sum(hits) / max(1, len(hits)), "share")

    begun = time.process_time()
    clusters = near_duplicates(candidates, THRESHOLD).clusters
    seconds = time.process_time() - begun
    yield from lines("sonneteer", seconds, [cluster != place for place, cluster in enumerate(clusters)])
    for system in ("datasketch", "text-dedup", "data-juicer"):
        if told := _told(system, texts, peers):
            yield from lines(system, *told)


class Copy(NamedTuple):
    """A copy that was planted, and the first that is left of its original and its copies."""

    place: int
    original: int
    share: float
    """Of the three-word sequences of both those that both have."""


def _copies(candidates: Sequence[Candidate]) -> list[Copy]:
    first: dict[str, int] = {}
    sets = [frozenset(shingles(candidate.example)) for candidate in candidates]
    copies = []
    for place, candidate in enumerate(candidates):
        original = first.setdefault(candidate.tags["copy_of"], place)
        if original != place:
            copies.append(Copy(place, original, jaccard(sets[original], sets[place])))
    return copies


def _told(system: str, texts: Sequence[str], peers: Path) -> tuple[float, list[bool]] | None:
    """Seconds, and what was found, from the peer's environment; nothing where it cannot be asked, and why on stderr."""
    python = peers / PEERS[system] / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    reason = python.parents[1] / "not-installed.txt"
    why = reason.read_text().strip() if reason.exists() else f"there is no {python}; `make bench` installs it"
    if python.exists() and not reason.exists():
        command = [str(python), str(HERE / "data_peers.py"), system]
        told = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
        if not told.returncode:
            seconds, found = json.loads(told.stdout.splitlines()[-1])
            return seconds, found
        why = (told.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    print(f"{system} is left out: {why}", file=sys.stderr)
    return None


def main() -> None:
    """Measure each size in its own process, print a table, and write JSON lines where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--quick", action="store_true", help="2,000 rows only: whether it works")
    parser.add_argument("--json", type=Path, help="write the results here, one a line")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv" / "peers", help="environments of others")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        for line in measured(given.alone, given.peers):
            print(json.dumps(line._asdict()), flush=True)
        return
    lines: list[str] = []
    for rows in [2_000] if given.quick else given.rows:
        command = [sys.executable, "-m", "benchmarks.data", "--alone", str(rows)]
        command += ["--peers", str(given.peers)]
        lines += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in map(json.loads, lines):
        print(
            f"{line['workload']:>42}  {line['system']:>10}  {line['metric']:<26} {line['value']:>12,.2f} {line['unit']}"
        )
    if given.json:
        given.json.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
