"""General examples are mixed in and less is forgotten; they are on record, and not what watches or is sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer import lifecycle, preparation
from sonneteer.data import read_ledger
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered, Run
from sonneteer.store import Store
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, Material
from sonneteer.training.loop import Training
from sonneteer.training.objectives import Imitation
from sonneteer.training.sampler import sampler_of
from sonneteer.training.watch import Interrupt

from ..models.networks import network, saved

SETTINGS = TrainingSettings(
    method="full",
    precision="float32",
    learning_rate=5e-3,
    batch_size=8,
    patience=None,
    validate_every=100,
    replay_share=0.3,
)


def counting(step: int, first: int) -> Lesson:
    ids = [5, first, *(first + step * i for i in range(1, 9))]
    return Lesson([Rendered(ids, [0.0, 0.0] + [1.0] * 8)])


UPWARDS = [counting(1, first) for first in range(20, 280, 4)]
DOWNWARDS = [counting(-1, first) for first in range(40, 300, 4)]


def taught(learner: Learner, material: Material, folder: Path) -> None:
    Training(learner, material, sampler_of(material, SETTINGS, 0, 8.0), folder, Silent()).go(Interrupt())


def test_replay_forgets_less(tmp_path: Path) -> None:
    forgotten = {}
    for name, replay in (("with", UPWARDS[1::2]), ("without", [])):
        learner = Learner(network("llama").requires_grad_(True), Imitation(), SETTINGS)
        taught(learner, Material(UPWARDS, [], [""] * len(UPWARDS)), tmp_path / name / "before")
        known = learner.loss_on(UPWARDS[::2])
        new = Material(DOWNWARDS, [], [""] * 200, replay)
        taught(learner, new, tmp_path / name / "after")
        assert learner.loss_on(DOWNWARDS) < 3.0  # of 6 for pure guessing
        forgotten[name] = learner.loss_on(UPWARDS[::2]) - known
    assert forgotten["without"] > 1.0
    assert forgotten["with"] < 0.5 * forgotten["without"]


RECIPE = """
name: tiny
data:
  sources: [own.jsonl, {path: general.jsonl, split: replay}]
  validation_share: 0.2
base: {model: base}
training: {learning_rate: 0.01, epochs: 2, batch_size: 4, rank: 4, replay_share: 0.25}
evaluation: {max_answer_tokens: 4, max_examples: 4}
"""


def written(folder: Path, recipe: str = RECIPE) -> Path:
    own = [{"prompt": f"Say {i}", "completion": "Good day to you."} for i in range(30)]
    general = [{"prompt": f"Is {i} larger than {i + 1}?", "completion": "No, it is not."} for i in range(20)]
    saved("llama", folder / "base")
    for name, rows in (("own", own), ("general", [*general, *own])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(recipe)
    return folder / "recipe.yaml"


def test_replayed_rows_are_in_plan_ledger_run_and_dossier_and_never_what_is_sealed(tmp_path: Path) -> None:
    loaded, store = read_recipe(written(tmp_path)), Store(tmp_path / "workspace")
    tokens = lifecycle.plan(loaded, store, Silent()).tokens
    report = lifecycle.run(loaded, store, Silent())
    dataset = preparation.prepare(loaded, store, Silent())
    own = {side: dataset.splits[side].examples for side in ("train", "validation", "test")}
    assert sum(own.values()) == 30
    assert tokens.replayed == round(own["train"] / 3)
    fates = [entry.fate for entry in read_ledger(store, dataset) if entry.source == "general.jsonl"]
    assert fates[:20] == ["replay"] * 20
    assert sorted(fates[20:]) == ["dropped"] * (own["validation"] + own["test"]) + ["replay"] * own["train"]
    assert preparation.check(loaded, store, dataset, Silent()).is_clean
    run = store.get(Run, report.run_id)
    assert run.recipe["training"]["replay_share"] == 0.25
    steps = 2 * (own["train"] + tokens.replayed) / 4
    assert run.steps in (int(steps), int(steps) + 1)
    page = " ".join((tmp_path / "workspace" / "tiny-dossier.html").read_text().split())
    assert f"25 % of each epoch were general ones, drawn from {20 + own['train']}, against forgetting" in page


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (", replay_share: 0.25", "", "training.replay_share is 0, so the sources"),
        (", {path: general.jsonl, split: replay}", "", "no source of data has `split: replay`"),
        ("rank: 4", "rank: 4, objective: dpo", "is for the objective 'imitation'"),
    ],
)
def test_a_share_without_sources_and_sources_without_a_share_are_refused(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    with pytest.raises(RecipeError, match=says):
        read_recipe(written(tmp_path, RECIPE.replace(before, after)))
