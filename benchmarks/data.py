"""How fast the data room is, step by step, and beside the plain chain of other libraries on the same rows.

    python -m benchmarks.data [--rows 10000 100000 1000000] [--quick] [--json PATH] [--presidio PYTHON]

Conversations are written by chance: 5 % exact copies, 5 % copies with two words changed, 1 % torn lines, and in every
tenth an e-mail address, a phone number or a card. Each size runs in a process of its own, and so its peak memory is its
own. Single steps are by processor time, so that they mean the same on a busy machine; the whole, `prepare`, uses all
cores and is by the clock and by processor time. The plain chain is Presidio (in the environment whose Python is given)
and datasketch, where they are installed.
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
PRESIDIO = """
import json, sys, time
import spacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine
class Blank(SpacyNlpEngine):
    def load(self):
        self.nlp = {"en": spacy.blank("en")}
    def is_loaded(self):
        return True
import tldextract
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
engine = Blank(models=[{"lang_code": "en", "model_name": "blank"}])
engine.load()
analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
texts = json.load(sys.stdin)
analyzer.analyze(texts[0], "en")
begun = time.process_time()
found = [bool(analyzer.analyze(text, "en", score_threshold=0.35)) for text in texts]
print(json.dumps([time.process_time() - begun, found]))
"""
"""Presidio without a model, as it can be installed offline; with one it finds names, and is slower."""
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


def measured(rows: int, python: str | None) -> Iterator[Measured]:
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
        yield from _near_duplicate_peers(candidates)
        yield from _personal_data_peers(candidates, python)


def _whole(folder: Path, workload: str, rows: int) -> Iterator[Measured]:
    """`prepare` as a recipe calls it, on all cores."""
    data = DataSettings(sources=(SourceSettings(path="rows.jsonl"),), bad_rows_share=0.5, max_tokens=100_000)
    recipe = Recipe(name="bench", data=data.model_copy(update={"clean": CleanSettings(rules="chat")}))
    begun, spent = time.perf_counter(), _cpu_seconds()
    dataset = prepare(recipe, folder, Store(folder / "workspace"), Words())
    yield Measured(workload, "sonneteer", "prepare", rows / (time.perf_counter() - begun), "rows/s")
    yield Measured(workload, "sonneteer", "prepare", rows / (_cpu_seconds() - spent), "rows/CPU s")
    yield Measured(workload, "sonneteer", "kept", sum(split.examples for split in dataset.splits.values()), "rows")
    own, children = (resource.getrusage(who).ru_maxrss * 1024 / 1e9 for who in WHO)
    yield Measured(workload, "sonneteer", "peak memory", own, "GB")
    yield Measured(workload, "sonneteer", "peak memory of the largest other process", children, "GB")


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


def _personal_data_peers(candidates: Sequence[Candidate], python: str | None) -> Iterator[Measured]:
    """Rows per second, and the share of planted pieces that are found, ours and Presidio's on the same texts."""
    texts = [" ".join(message.text for message in one.example.messages) for one in candidates[:PRESIDIO_ROWS]]
    workload = f"personal data in {len(texts)} conversations"
    finder = Finder(PrivacySettings())
    begun = time.process_time()
    found = [bool(finder.find([text])[0]) for text in texts]
    yield Measured(workload, "sonneteer", "speed", len(texts) / (time.process_time() - begun), "rows/CPU s")
    yield Measured(workload, "sonneteer", "recall of planted pieces", _share_found(texts, found), "share")
    if python is None:
        return
    told = subprocess.run([python, "-c", PRESIDIO], input=json.dumps(texts), capture_output=True, text=True, check=True)
    seconds, found = json.loads(told.stdout.splitlines()[-1])
    yield Measured(workload, "presidio", "speed", len(texts) / seconds, "rows/CPU s")
    yield Measured(workload, "presidio", "recall of planted pieces", _share_found(texts, found), "share")


def _share_found(texts: Sequence[str], found: Sequence[bool]) -> float:
    planted = [is_found for text, is_found in zip(texts, found, strict=True) if any(mark in text for mark in MARKS)]
    return sum(planted) / max(1, len(planted))


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
    parser.add_argument("--presidio", metavar="PYTHON", help="the Python of an environment in which Presidio is")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        for line in measured(given.alone, given.presidio):
            print(json.dumps(line._asdict()), flush=True)
        return
    lines: list[str] = []
    for rows in [2_000] if given.quick else given.rows:
        command = [sys.executable, "-m", "benchmarks.data", "--alone", str(rows)]
        command += ["--presidio", given.presidio] if given.presidio else []
        lines += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in map(json.loads, lines):
        print(
            f"{line['workload']:>42}  {line['system']:>10}  {line['metric']:<26} {line['value']:>12,.2f} {line['unit']}"
        )
    if given.json:
        given.json.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
