"""What new tokens do to a domain's texts and to the loss, on medical questions and answers (MedQuAD).

    python -m benchmarks.vocabulary [--data FILE] [--rows 1200] [--terms 0 50 200 1000] [--folder FOLDER] [--json PATH]
        [--quick]

The bundled base learns the same rows with each number of new terms, for as many epochs, and is measured by the report
of `sonneteer vocabulary`. FOLDER keeps the workspaces, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sonneteer import lifecycle
from sonneteer.backends.vocabulary import VocabularyReport, bits_of
from sonneteer.cli.screen import Screen
from sonneteer.data import read_split
from sonneteer.profile import machine
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import DatasetVersion, ModelVersion, Run
from sonneteer.store import Store

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "medical" / "medquad" / "medquad.jsonl.gz"
LONGEST = 1200  # characters of an answer
RECIPE = """\
name: medical
data:
  sources: [{path: rows.jsonl}]
  validation_examples: 150
  test_examples: 50
base: {vocabulary: {least_saving: 5}}
training: {learning_rate: 0.002, epochs: 3, batch_size: 16, patience: null}
promotion: {better_on: [bits_per_character]}
"""
BITS = ("base", "base with the new tokens", "tuned")


class Arm(NamedTuple):
    """One number of new terms."""

    report: VocabularyReport
    seconds: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--terms", type=int, nargs="+", default=[0, 50, 200, 1000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="300 rows, one epoch, 50 terms")
    options = parser.parse_args()
    if not options.data.exists():
        sys.exit(f"vocabulary: skipped, there is no {options.data}; name the file with --data.")
    if options.quick:
        options.rows, options.terms = 300, [0, 50]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        write_rows(options.data, folder, options.rows)
        settings = ["--training.epochs=1", "--data.validation_examples=40"] if options.quick else []
        arms = {terms: learned(folder, terms, settings) for terms in options.terms}
    print_table(arms)
    if options.json:
        lines = [{"terms": terms, "seconds": arm.seconds, **arm.report.model_dump()} for terms, arm in arms.items()]
        options.json.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_rows(source: Path, folder: Path, count: int) -> None:
    """Every so many rows of the file, so that all its sources are there, and the recipe beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(source, "rt") as file:
        rows = [row for row in map(json.loads, file) if len(row["answer"]) <= LONGEST]
    chosen = rows[:: max(1, len(rows) // count)][:count]
    pairs = [{"prompt": row["question"], "completion": row["answer"], "focus": row["focus"]} for row in chosen]
    (folder / "rows.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    (folder / "recipe.yaml").write_text(RECIPE)


def learned(folder: Path, terms: int, settings: list[str]) -> Arm:
    """The rows learned with so many new terms."""
    loaded = read_recipe(folder / "recipe.yaml", [*settings, f"--base.vocabulary.new_terms={terms}"])
    with Screen(Console(stderr=True)) as screen:
        screen.note(f"{terms} new terms")
        store = Store(folder / f"workspace-{terms}")
        model = lifecycle.train(loaded, store, screen)
        report = lifecycle.vocabulary(loaded, store, screen)
        if not terms:  # there are no new tokens whose effect it would tell
            report = report.model_copy(update={"bits_per_character": plain_bits(loaded, store, model)})
        return Arm(report, store.get(Run, model.run_id).seconds)


def plain_bits(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> dict[str, float] | None:
    """The same figures without new tokens."""
    chats = {
        "base": partial(lifecycle.open_chat, loaded, store, "base"),
        "tuned": partial(lifecycle.open_chat, loaded, store, "tuned"),
    }
    return bits_of(chats, read_split(store, store.get(DatasetVersion, model.dataset_id), "validation"))


def print_table(arms: dict[int, Arm]) -> None:
    """One row for each number of terms."""
    here = machine()
    print(f"{here.processor}, {here.cores} cores, {here.memory_gb} GB\n")
    titles = ("new terms", "new tokens", "tokens saved", *(f"bits per character, {name}" for name in BITS), "s")
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for terms, (report, seconds) in arms.items():
        saved, bits = report.fertility["validation"].saved_share, report.bits_per_character or {}
        told = [f"{bits[name]:.3f}" if name in bits else "" for name in BITS]
        print(f"| {terms} | {report.new_tokens} | {saved:.1%} | {' | '.join(told)} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
