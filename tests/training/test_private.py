"""Private training: each unit's gradient is shortened, noise hides it, and the promise is counted as Opacus counts."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from sonneteer import lifecycle
from sonneteer.errors import RecipeError
from sonneteer.progress import Silent
from sonneteer.recipe import read_recipe
from sonneteer.recipe.private import PrivateTrainingSettings
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered, Run
from sonneteer.store import Store
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Lesson, Material
from sonneteer.training.objectives import Imitation
from sonneteer.training.private import PoissonSampler, PrivateGradients, budget_of, spent, units_of
from sonneteer.training.watch import read_metrics

from ..models.networks import network, saved

opacus = pytest.importorskip("opacus", reason="Opacus is not installed: pip install 'sonneteer[private]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning"),
]
PRIVATE = PrivateTrainingSettings(epsilon=8.0)
SETTINGS = TrainingSettings(precision="float32", batch_size=4, max_gradient_norm=0.05, privacy=PRIVATE)


def lessons(count: int = 5) -> list[Lesson]:
    """Of one length, so that Opacus can take them as one batch."""
    ids = [[5, 6, *(7 + (i * j) % 300 for j in range(1, 9))] for i in range(1, count + 1)]
    return [Lesson([Rendered(one, [0.0] * 4 + [1.0] * 6)]) for one in ids]


def adapted() -> torch.nn.Module:
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    return get_peft_model(network("llama"), config)


def test_gradients_of_units_are_those_of_opacus_shortened_and_summed() -> None:
    from opacus import GradSampleModule

    ours = adapted()
    learner = Learner(ours.base_model.model, Imitation(), SETTINGS)
    learner.private = PrivateGradients(clip=0.05, noise=0.0, expected_units=4.0)
    parameters = [parameter for _, parameter in learner.trained]
    learner.private.noised(lessons(), lambda unit: learner._unit_gradients(1, unit), parameters)
    theirs = GradSampleModule(adapted(), loss_reduction="sum", strict=False)
    ids = torch.tensor([lesson.sequences[0].ids for lesson in lessons()])
    logits = theirs(input_ids=ids).logits[:, 3:-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 4:], reduction="none").mean(1)
    losses.sum().backward()
    samples = [parameter.grad_sample for parameter in theirs.parameters() if parameter.requires_grad]
    norms = torch.stack([sample.flatten(1).square().sum(1) for sample in samples]).sum(0).sqrt()
    assert float(norms.min()) < float(norms.max())
    factors = (0.05 / (norms + 1e-6)).clamp(max=1.0)
    for parameter, sample in zip(parameters, samples, strict=True):
        expected = torch.einsum("u,u...->...", factors, sample) / 4
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-7)
    assert learner.private.clipped_share == pytest.approx(float((norms > 0.05).float().mean()))


def test_no_unit_moves_the_sum_by_more_than_the_clip() -> None:
    learner = Learner(adapted().base_model.model, Imitation(), SETTINGS)
    parameters = [parameter for _, parameter in learner.trained]
    sums = []
    for units in (lessons(), lessons()[:-1]):
        PrivateGradients(0.05, 0.0, 1.0).noised(units, lambda unit: learner._unit_gradients(1, unit), parameters)
        sums.append(torch.cat([p.grad.flatten().clone() for p in parameters if p.grad is not None]))
    assert float((sums[0] - sums[1]).norm()) <= 0.05 * (1 + 1e-5)


def test_a_step_without_units_still_adds_its_noise() -> None:
    learner = Learner(adapted().base_model.model, Imitation(), SETTINGS)
    learner.private = PrivateGradients(clip=0.05, noise=2.0, expected_units=4.0)
    before = {name: weight.clone() for name, weight in learner.weights().items()}
    done = learner.step([], 1e-3)
    size = sum(weight.numel() for weight in before.values())
    assert done.gradient_norm == pytest.approx(math.sqrt(size) * 2.0 * 0.05 / 4, rel=0.1)
    assert all(not torch.equal(weight, before[name]) for name, weight in learner.weights().items())


def test_each_unit_takes_part_by_its_own_chance() -> None:
    sampler = PoissonSampler(units=20, batch_size=4, epochs=100.0, seed=0)
    assert sampler.steps == 500
    batches = [sampler.batch(step) for step in range(1, 501)]
    assert batches == [sampler.batch(step) for step in range(1, 501)]
    sizes = Counter(map(len, batches))
    assert len(sizes) > 5  # none is fixed
    times = Counter(unit for batch in batches for unit in batch)
    for unit in range(20):
        assert abs(times[unit] - 100) < 5 * math.sqrt(500 * 0.2 * 0.8)


def material(people: list[str]) -> Material:
    return Material(lessons(len(people)), [], ["row"] * len(people), people=people)


def test_the_noise_keeps_the_promise_and_no_more() -> None:
    plain = material([""] * 40)
    budget = budget_of(plain, SETTINGS, steps=60)
    told = spent(budget, SETTINGS, steps=60)
    assert 0.97 * 8 < told.epsilon <= 8
    assert spent(budget, SETTINGS, steps=30).epsilon < told.epsilon
    assert budget.largest is None
    assert budget.delta == pytest.approx(0.1 / 40)


def test_the_accountant_is_at_a_figure_that_another_library_confirms() -> None:
    # Google's dp-accounting says 8.572 (privacy loss distribution) for this one; its error bounds are on both sides.
    from sonneteer.training.private import _epsilon

    assert _epsilon(1.17, 1e-4, 64 / 421, 140) == pytest.approx(8.572, abs=0.02)


def test_all_examples_of_a_person_are_one_unit() -> None:
    people = ["ann", "", "bo", "ann", "", "ann"]
    settings = SETTINGS.model_copy(update={"privacy": PrivateTrainingSettings(epsilon=8.0, unit="person")})
    units = units_of(material(people), settings)
    assert [len(unit.sequences) for unit in units.train] == [3, 1, 1, 1]
    assert units.train[0].sequences == [lessons(6)[i].sequences[0] for i in (0, 3, 5)]
    with pytest.raises(RecipeError, match="no training example has the tag 'person'"):
        units_of(material([""] * 4), settings)
    with pytest.raises(RecipeError, match="must draw fewer than all"):
        budget_of(units, settings, steps=5)


@pytest.mark.parametrize(
    "other", [{"objective": "kto"}, {"prefix_group": 4}, {"replay_share": 0.1}], ids=["kto", "groups", "replay"]
)
def test_what_lets_examples_touch_one_another_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cannot be trained with training\.privacy"):
        TrainingSettings.model_validate({"privacy": PRIVATE, **other})


RECIPE = """
name: tiny
data: {sources: rows.jsonl, validation_share: 0.2}
base: {model: base}
training: {learning_rate: 0.01, epochs: 2, batch_size: 6, rank: 4, privacy: {epsilon: 20}}
evaluation: {max_answer_tokens: 4, max_examples: 4, resamples: 200}
"""


def test_a_private_run_says_what_it_promises_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    saved("llama", tmp_path / "base")
    rows = [{"prompt": f"Say {i}", "completion": "Good day.", "person": f"p{i // 4}"} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    loaded = read_recipe(tmp_path / "recipe.yaml")
    store = Store(tmp_path / "workspace")
    report = lifecycle.run(loaded, store, Silent())
    run = store.get(Run, report.run_id)
    assert run.privacy is not None
    assert report.privacy == run.privacy
    assert 19 < run.privacy.epsilon <= 20
    assert run.privacy.largest_multiplicity == 4
    assert run.privacy.steps == run.steps
    assert run.train_loss is None
    lines = read_metrics(store.folder(run.id) / "metrics.jsonl")
    assert all(0 <= line["clipped_share"] <= 1 for line in lines if "loss" in line)
    page = " ".join((tmp_path / "workspace" / "tiny-dossier.html").read_text().split())
    assert "The training was differentially private: epsilon 20 at delta" in page or "epsilon 19." in page
    assert "One person has 4 of the examples" in page
