"""Preferences by commands alone: from rows to a plan, a training and a verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.models.networks import saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl, validation_share: 0.2, test_share: 0.2}
base: {model: base}
training: {learning_rate: 0.01, epochs: 2, batch_size: 8, rank: 4, precision: float32}
evaluation: {max_answer_tokens: 4, resamples: 200, metrics: [perplexity]}
"""
PAIRS = [{"prompt": f"Say {i}", "chosen": "Good day to you.", "rejected": "Go away."} for i in range(30)]
JUDGED = [
    {"prompt": f"Say {i}", "completion": "Good day to you." if i % 2 else "Go away.", "label": i % 2 == 1}
    for i in range(40)
]


@pytest.mark.parametrize(
    ("objective", "more", "rows", "first_loss"),
    [
        ("dpo", (), PAIRS, math.log(2)),
        ("dpo", ("--training.preference.loss=simpo", "--training.preference.beta=2"), PAIRS, None),
        ("orpo", (), PAIRS, None),
        ("kto", (), JUDGED, 0.5),
    ],
    ids=["dpo", "simpo", "orpo", "kto"],
)
def test_a_preference_is_planned_trained_and_judged_by_commands(
    sonneteer: Command,
    folder: Path,
    objective: str,
    more: tuple[str, ...],
    rows: list[dict[str, object]],
    first_loss: float | None,
) -> None:
    saved("llama", folder / "base")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE)
    words = (f"--training.objective={objective}", *more)
    assert sonneteer("plan", *words, "--json").document["plan"]["tokens"]["learned"] > 0
    trained = sonneteer("train", *words, "--json")
    assert trained.code == 0, trained.err
    judged = sonneteer("evaluate", *words, "--json")
    assert judged.code in (0, 2, 4), judged.err
    report = judged.document["report"]
    assert report["run_id"] == trained.document["model"]["run_id"]
    assert report["comparisons"][0]["metric"] == "perplexity"
    assert report["generalisation_gap"] is not None
    if first_loss is not None:
        lines = (folder / "workspace" / "runs" / report["run_id"] / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[0])["validation_loss"] == pytest.approx(first_loss, rel=1e-4)
    page = sonneteer("evaluate", *words)
    assert "generalisation gap" in page.out
