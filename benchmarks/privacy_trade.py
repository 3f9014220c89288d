"""What differential privacy costs and what it hides, on real questions of patients (MeQSum).

Each training, without a promise and with each epsilon, learns from the same rows with the same canaries among them, and
is measured by the very report that `sonneteer run` writes: what it gained, and what it remembers.

    python benchmarks/privacy_trade.py [--data FILE] [--rows 330] [--epsilons 8 3] [--folder FOLDER] [--json PATH]

FOLDER keeps the workspaces, so that an interrupted run goes on. A training takes from 5 to 25 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from sonneteer import lifecycle
from sonneteer.cli.screen import Screen
from sonneteer.recipe import read_recipe
from sonneteer.records import Interval, Report
from sonneteer.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RECIPE = """\
name: health
data:
  sources:
    - {path: rows.jsonl}
  validation_examples: 40
  test_examples: 110
  max_tokens: 256
training: {learning_rate: 0.002, epochs: 12, batch_size: 16, patience: null, validate_every: 60}
evaluation:
  max_answer_tokens: 24
  resamples: 1000
  metrics: [perplexity, bits_per_character, rouge_l]
  memorisation: {canaries: 18, repeats: [1, 4, 16], candidates: 300, membership: 250, extraction: 40}
"""
PRIVATE = ("--training.max_gradient_norm=0.3", "--training.privacy.epsilon={}")
COLUMNS = ("epsilon", "gain in bits per character", "ROUGE-L", "exposure 1x", "exposure 4x", "exposure 16x")
MORE_COLUMNS = ("membership AUC", "caught at 1 %", "extracted")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "medical" / "meqsum" / "meqsum.jsonl")
    parser.add_argument("--rows", type=int, default=330)
    parser.add_argument("--epsilons", type=float, nargs="*", default=(8.0, 3.0))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.data.exists():
        sys.exit(f"privacy_trade: skipped, there is no {options.data}; name the file with --data.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        write_rows(options.data, folder, options.rows)
        reports = {epsilon: measured(folder, epsilon) for epsilon in (None, *options.epsilons)}
    print_table(reports)
    if options.json:
        options.json.write_text("".join(report.model_dump_json() + "\n" for report in reports.values()))


def write_rows(source: Path, folder: Path, count: int) -> None:
    """The first rows of the file as questions and answers, with the recipe beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in source.read_text().splitlines()[:count]]
    asked = [f"Write this as one short question: {row['question']}" for row in rows]
    pairs = [{"prompt": text, "completion": row["summary"]} for text, row in zip(asked, rows, strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    (folder / "recipe.yaml").write_text(RECIPE)


def measured(folder: Path, epsilon: float | None) -> Report:
    """The report of one training, in a workspace of its own: each opens the sealed examples for the first time."""
    overrides = [] if epsilon is None else [word.format(epsilon) for word in PRIVATE]
    with Screen(Console(stderr=True)) as screen:
        screen.note(f"epsilon: {epsilon or 'no promise'}")
        return lifecycle.run(
            read_recipe(folder / "recipe.yaml", overrides), Store(folder / f"workspace-{epsilon}"), screen
        )


def print_table(reports: dict[float | None, Report]) -> None:
    """One row for each training; each figure with its interval."""
    titles = (*COLUMNS, *MORE_COLUMNS)
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for epsilon, report in reports.items():
        name = "none" if epsilon is None else f"{epsilon:g}"
        print(f"| {' | '.join([name, *map(shown, figures(report))])} |", flush=True)


def figures(report: Report) -> list[Interval | None]:
    """What stands in the columns."""
    found = report.memorisation
    assert found is not None
    metrics = {comparison.metric: comparison for comparison in report.comparisons}
    reference = next((attack for attack in found.memberships if attack.attack == "reference"), None)
    return [
        metrics["bits_per_character"].gain,
        metrics["rouge_l"].tuned,
        *(exposure.tuned for exposure in found.exposures),
        reference and reference.auc,
        reference and reference.caught,
        found.extraction and found.extraction.exact_learned,
    ]


def shown(figure: Interval | None) -> str:
    """A figure and its interval."""
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]" if figure else "not available"


if __name__ == "__main__":
    main()
