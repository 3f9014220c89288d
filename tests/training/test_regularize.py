"""What helps against overfitting does what it says, each alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from sonneteer.models.adapters import add_adapter
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import parts, read
from sonneteer.training.objectives import Imitation
from sonneteer.training.watch import Interrupt

from ..models.networks import network
from .objectives.plain import pairs, start_and_now
from .test_loop import SETTINGS, Stop, material, training


def logits_of_learned(model: torch.nn.Module, sequences: list[Rendered]) -> torch.Tensor:
    found = [model(input_ids=torch.tensor([s.ids])).logits[0, :-1][torch.tensor(s.weights[1:]) != 0] for s in sequences]
    return torch.cat(found)


def test_label_smoothing_is_that_of_pytorch_and_not_part_of_the_validation_loss() -> None:
    _, model = start_and_now()
    sequences = [sequence for lesson in pairs() for sequence in lesson.sequences]
    targets = torch.cat([torch.tensor(s.ids[1:])[torch.tensor(s.weights[1:]) != 0] for s in sequences])
    objective = Imitation(label_smoothing=0.2)
    lessons = objective.ready(model, pairs(), 1)
    (part,) = parts(lessons, 10_000, model.device)
    for loss, smoothing in ((objective.loss, 0.2), (objective.validation_loss, 0.0)):
        ours = loss(read(model, part)) / objective.total(lessons)
        plain = cross_entropy(logits_of_learned(model, sequences), targets, label_smoothing=smoothing)
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_anchor_adds_the_divergence_from_the_starting_model(method: str) -> None:
    model = network("qwen3")
    settings = SETTINGS.model_copy(update={"dropout": 0.0})
    if method == "lora":
        add_adapter(model, settings, seed=0)
    anchored = Learner(model, Imitation(), settings.model_copy(update={"anchor": 0.5}))
    plain = Learner(model, Imitation(), settings)
    lessons = Imitation().ready(model, pairs(), 1)
    sequences = [sequence for lesson in lessons for sequence in lesson.sequences]
    assert anchored.step(lessons, 0.0).loss == pytest.approx(plain.step(lessons, 0.0).loss, rel=1e-5)
    with torch.no_grad():
        for _, parameter in plain.trained:
            parameter.add_(0.1 * torch.randn_like(parameter))
        now = logits_of_learned(model, sequences).log_softmax(-1)
        start = logits_of_learned(network("qwen3"), sequences).log_softmax(-1)
    divergence = kl_div(start, now, reduction="batchmean", log_target=True)
    assert float(divergence) > 1e-4
    expected = plain.step(lessons, 0.0).loss + 0.5 * float(divergence)
    assert anchored.step(lessons, 0.0).loss == pytest.approx(expected, rel=1e-4)


def test_noise_changes_the_step_and_not_the_validation() -> None:
    model = network("llama").requires_grad_(True)
    noisy = Learner(model, Imitation(), SETTINGS.model_copy(update={"embedding_noise": 50.0}))
    plain = Learner(model, Imitation(), SETTINGS)
    lessons = material().train
    assert noisy.validation_loss(lessons) == plain.validation_loss(lessons)
    assert noisy.step(lessons, 0.0).loss != pytest.approx(plain.step(lessons, 0.0).loss, rel=1e-3)


AVERAGED = SETTINGS.model_copy(update={"average": 0.7, "learning_rate": 0.02})


def test_the_average_of_the_weights_is_validated_and_kept(tmp_path: Path) -> None:
    run = training(tmp_path, AVERAGED)
    average = run.learner.average
    assert average is not None
    first = {name: tensor.clone() for name, tensor in average.tensors.items()}
    run.learner.step(material().train, 0.02, number=1)
    decay = min(0.7, 2 / 11)
    for name, weight in run.learner.weights().items():
        torch.testing.assert_close(average.tensors[name], decay * first[name] + (1 - decay) * weight)
    live = run.learner.loss_on(material().validation)
    with average.put_on():
        averaged = run.learner.loss_on(material().validation)
    assert run.learner.validation_loss(material().validation) == averaged != live
    assert run.learner.loss_on(material().validation) == live


def test_an_interrupted_run_with_an_average_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole", AVERAGED)
    whole.go(Interrupt())
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path / "parts", AVERAGED, Stop(interrupt, 5)).go(interrupt)
    last = training(tmp_path / "parts", AVERAGED)
    last.go(Interrupt())
    for name, weight in whole.learner.weights().items():
        assert torch.equal(weight, last.learner.weights()[name])


def test_at_the_end_the_loss_on_learned_examples_is_known(tmp_path: Path) -> None:
    run = training(tmp_path, TrainingSettings(**SETTINGS.model_dump() | {"epochs": 1.0}))
    counters = run.go(Interrupt())
    assert counters.train_loss == run.learner.loss_on(material().train[:4])
    assert counters.gap is not None
    assert counters.gap.value == pytest.approx(counters.best_loss - counters.train_loss, abs=1e-5)
    assert counters.gap.low < counters.gap.value < counters.gap.high
