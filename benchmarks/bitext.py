"""The support recipe on real data: Bitext's customer-support replies, learned by couplet, judged on sealed examples.

    python benchmarks/bitext.py [--data FILE] [--work FOLDER] [--json PATH] [--quick] [--training.epochs 2 ...]

FILE is bitext_v2_long.jsonl.gz (fields instruction, response, intent, category), by default that of the folder
shared/data beside the checkout. Settings of the recipe may follow. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from sonneteer import lifecycle
from sonneteer.cli.pages import verdict_page
from sonneteer.cli.screen import Screen
from sonneteer.profile import machine
from sonneteer.recipe import read_recipe
from sonneteer.records import Report, Run
from sonneteer.store import Store

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared/data/customer_service/bitext/bitext_v2_long.jsonl.gz"
RECIPE = """
name: bitext
data:
  sources:
    - path: {path}
      fields: {{output: response, topic: category}}
training:
  learning_rate: 3e-3
  epochs: 2
  batch_size: 32
evaluation:
  max_examples: 300
"""
QUICK = ["--training.max_steps=20", "--evaluation.max_examples=32", "--evaluation.max_answer_tokens=32"]


def main() -> None:
    """Run the recipe, print the verdict with its figures, time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=ROOT / "build/bitext")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a few steps and examples")
    options, settings = parser.parse_known_args()
    if not options.data.exists():
        sys.exit(f"bitext: skipped, there is no {options.data}; name the file with --data.")
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = options.work / "recipe.yaml"
    recipe.write_text(RECIPE.format(path=options.data.absolute()))
    store, console = Store(options.work / "workspace"), Console()
    loaded = read_recipe(recipe, [*(QUICK if options.quick else []), *settings])
    report = lifecycle.run(loaded, store, Screen(Console(stderr=True)))
    run = store.get(Run, report.run_id)
    console.print(verdict_page(report))
    console.print(f"{machine().processor}, {machine().cores} cores: {summary(report, run)}", soft_wrap=True)
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in as_lines(report, run)))


def summary(report: Report, run: Run) -> str:
    """Time and memory in a sentence."""
    return (
        f"{run.steps} steps in {run.seconds / 60:.1f} min, {run.tokens:,} tokens of which {run.unique_tokens:,} were "
        f"computed, judged in {report.seconds / 60:.1f} min, {run.peak_memory_gb:.2f} GB at the peak of training"
    )


def as_lines(report: Report, run: Run) -> Iterator[dict[str, float | str]]:
    """One line a figure."""
    for one in report.comparisons:
        for system, interval in (("base", one.base), ("sonneteer", one.tuned), ("gain", one.gain)):
            for bound in ("value", "low", "high"):
                metric = one.metric if bound == "value" else f"{one.metric}_{bound}"
                value = getattr(interval, bound)
                yield {"workload": "bitext", "system": system, "metric": metric, "value": value, "unit": "1"}
    for metric, value, unit in (("seconds", run.seconds, "s"), ("peak_memory_gb", run.peak_memory_gb, "GB")):
        yield {"workload": "bitext", "system": "sonneteer", "metric": metric, "value": value, "unit": unit}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
