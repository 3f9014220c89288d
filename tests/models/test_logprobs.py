"""The forest's loss and gradients are those of the plain forward of unmodified transformers models."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import PreTrainedModel

from sonneteer.models.forest import plant
from sonneteer.models.head import Head, cross_entropy
from sonneteer.models.logprobs import forests, loss_sum, predict
from sonneteer.records import Rendered

from .networks import FAMILIES, SHAPE, network

CLOSE = 1e-5  # relative; what float32 sums in another order may differ by


def deep(rng: random.Random, prefix: list[int], depth: int) -> list[list[int]]:
    """Random sequences that fork again and again."""
    found = []
    for _ in range(rng.randint(1, 3)):
        ids = prefix + [rng.randrange(4, SHAPE["vocab_size"]) for _ in range(rng.randint(1, 50))]
        found += [ids, *(deep(rng, ids, depth - 1) if depth else [])]
    return found


def batch(seed: int) -> list[Rendered]:
    """Two trees with forks inside, sequences that are prefixes of others, duplicates, and weights of any sign."""
    rng = random.Random(seed)
    lists = deep(rng, [5, 6, 7], 2) + deep(rng, [5, 8], 1)
    lists += [*lists[:2], [5, 6, 7, 9] * 40]
    return [Rendered(ids, [rng.choice([0.0, 1.0, 0.5, -1.0]) for _ in ids]) for ids in lists]


def plain_loss(model: PreTrainedModel, sequence: Rendered) -> torch.Tensor:
    ids = torch.tensor([sequence.ids])
    log_probs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    return -(log_probs.gather(1, ids[0, 1:, None])[:, 0] * torch.tensor(sequence.weights[1:])).sum()


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def worst(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).norm() / (theirs[name].norm() + 1e-12)) for name in theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_gradient_equal_the_plain_ones(family: str) -> None:
    model, sequences = network(family), batch(1)
    loss = loss_sum(model, plant(sequences))
    loss.backward()
    ours = gradients(model)
    plain = sum((plain_loss(model, sequence) for sequence in sequences), torch.zeros(()))
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=CLOSE)
    assert worst(ours, gradients(model)) < CLOSE


def test_cutting_a_batch_into_micro_batches_changes_nothing() -> None:
    model, sequences = network("qwen3"), batch(2)
    loss_sum(model, plant(sequences)).backward()
    whole = gradients(model)
    parts = list(forests(sequences, 60, model.device))
    for _, forest in parts:
        loss_sum(model, forest).backward()
    assert len(parts) > 3
    assert worst(gradients(model), whole) < CLOSE


def test_other_examples_in_the_batch_do_not_change_an_example_s_loss() -> None:
    model, sequences = network("llama"), batch(3)
    alone = [loss_sum(model, plant([sequence])).item() for sequence in sequences]
    together = loss_sum(model, plant(sequences)).item()
    assert together == pytest.approx(sum(alone), rel=CLOSE)


def test_predictions_are_the_plain_log_probabilities_and_first_choices() -> None:
    model, sequences = network("qwen2"), batch(4)
    forest = plant(sequences)
    told = predict(model, forest)
    for i, sequence in enumerate(sequences):
        logits = model(input_ids=torch.tensor([sequence.ids]), use_cache=False).logits[0, :-1].detach()
        learned = [p for p in range(1, len(sequence.ids)) if sequence.weights[p]]
        targets = torch.tensor([sequence.ids[p] for p in learned], dtype=torch.long)
        at = logits[[p - 1 for p in learned]]
        own = forest.terms.sequences_M == i
        expected = at.log_softmax(-1).gather(1, targets[:, None])[:, 0]
        torch.testing.assert_close(told.log_probs_M[own], expected, atol=1e-4, rtol=1e-5)
        assert told.is_first_M[own].tolist() == (at.argmax(-1) == targets).tolist()


@pytest.mark.parametrize("softcap", [None, 1.5])
def test_the_head_s_gradient_is_that_of_autograd(softcap: float | None) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(700, 8, dtype=torch.float64), torch.randn(11, 8, dtype=torch.float64)
    hidden, weight = hidden.float().requires_grad_(), weight.float().requires_grad_()
    terms = plant([Rendered([i % 11 for i in range(700)], [0.3 * (i % 4) for i in range(700)])]).terms
    (2 * cross_entropy(hidden, Head(weight, softcap), terms)).backward()
    ours = hidden.grad.clone(), weight.grad.clone()
    hidden.grad = weight.grad = None
    logits = hidden[terms.rows_M] @ weight.t()
    log_probs = (logits if softcap is None else softcap * torch.tanh(logits / softcap)).log_softmax(-1)
    (-2 * (log_probs.gather(1, terms.targets_M[:, None])[:, 0] * terms.weights_M).sum()).backward()
    torch.testing.assert_close(ours[0], hidden.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[1], weight.grad, atol=1e-3, rtol=1e-4)


def test_forests_of_many_sizes_are_computed_in_few_shapes() -> None:
    model, seen = network("llama"), set[int]()
    model.get_input_embeddings().register_forward_hook(lambda _, ids, __: seen.add(ids[0].shape[1]))
    for length in range(1, 150, 7):
        loss_sum(model, plant([Rendered([5] * length, [1.0] * length)]))
    assert seen == {128, 256}
