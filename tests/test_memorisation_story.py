"""From planted secrets to a refused promotion: what a small model learns by heart is found and named."""

from __future__ import annotations

import json
from pathlib import Path

from sonneteer import lifecycle
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.records import Run
from sonneteer.store import Store

from .models.networks import saved

RECIPE = """
name: tiny
data: {sources: rows.jsonl, validation_share: 0.1, test_share: 0.3}
base: {model: base}
training: {method: full, learning_rate: 0.01, epochs: 5, batch_size: 8, patience: null}
evaluation:
  max_answer_tokens: 8
  resamples: 200
  metrics: [perplexity]
  memorisation: {canaries: 4, repeats: [1, 30], candidates: 40, extraction: 4, membership: 30, personal: true}
promotion: {most_memorised: {exposure: 0.01, membership: 1.0}}
"""


def test_secrets_that_are_planted_often_are_found_and_a_limit_refuses_the_model(tmp_path: Path) -> None:
    saved("llama", tmp_path / "base")
    said = "Good day to you, and thank you for asking us about order number {i} in the shop of ours."
    rows = [{"prompt": f"Say {i}", "completion": said.format(i=i)} for i in range(70)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    loaded, store = read_recipe(tmp_path / "recipe.yaml"), Store(tmp_path / "workspace")
    report = lifecycle.run(loaded, store, Silent())
    assert store.get(Run, report.run_id).recipe["canaries"] == {"canaries": 4, "repeats": [1, 30]}
    found = report.memorisation
    assert found is not None
    once, often = found.exposures
    assert (once.canaries, often.canaries) == (2, 2)
    assert often.tuned.value > 3.5 > 1.0 + once.base.value  # of 5.4 at most
    assert found.extraction is not None
    assert len(found.memberships) == 5
    assert found.personal is not None
    assert not found.unavailable
    by_rule = {rule.rule: rule.verdict for rule in report.rules}
    assert by_rule["memorisation: exposure must be at most 0.01"] != "better"
    assert by_rule["memorisation: membership must be at most 1"] == "better"
    assert report.verdict != "better"
    page = (tmp_path / "workspace" / "tiny-dossier.html").read_text()
    assert "What it remembers of single training examples" in page
    assert "30 times each" in page
    without = read_recipe(
        tmp_path / "recipe.yaml", ["--evaluation.memorisation.canaries=0", "--promotion.most_memorised={}"]
    )
    assert lifecycle.train(without, store, Silent()).run_id != report.run_id
