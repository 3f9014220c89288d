"""Any batch at all: the forest's loss and gradients are those of the naive padded batch."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from sonneteer.models.forest import plant
from sonneteer.models.logprobs import loss_sum
from sonneteer.records import Rendered

from .networks import SHAPE, network
from .test_logprobs import CLOSE, batch, gradients, worst

WEIGHTS = st.sampled_from([0.0, 1.0, 1.0, 0.5, -2.0])
SEQUENCE = st.lists(st.tuples(st.integers(4, 5), WEIGHTS), min_size=1, max_size=24)
# Two tokens make deep forests, duplicates, and sequences that begin others. The last row keeps the loss from zero.
BATCHES = st.lists(SEQUENCE, min_size=1, max_size=8)
LAST = Rendered([4, 9, 8, 7, 6, 5, 4, 9], [1.0] * 8)


@cache
def known(family: str) -> PreTrainedModel:
    """One network for all draws."""
    return network(family)


def padded_loss(model: PreTrainedModel, sequences: list[Rendered]) -> torch.Tensor:
    """What everybody computes: one row a sequence, filled up with padding."""
    longest = max(len(sequence.ids) for sequence in sequences)
    pad = SHAPE["pad_token_id"]
    ids = torch.tensor([[*s.ids, *[pad] * (longest - len(s.ids))] for s in sequences])
    mask = torch.tensor([[1] * len(s.ids) + [0] * (longest - len(s.ids)) for s in sequences])
    weights = torch.tensor([[*s.weights, *[0.0] * (longest - len(s.ids))] for s in sequences])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return (losses * weights[:, 1:]).sum()


def assert_exact(model: PreTrainedModel, sequences: list[Rendered]) -> None:
    """Loss and every parameter's gradient, each relative to the size of what is summed."""
    loss = loss_sum(model, plant(sequences))
    loss.backward()
    ours = gradients(model)
    naive = padded_loss(model, sequences)
    naive.backward()
    size = sum(abs(weight) for sequence in sequences for weight in sequence.weights)
    assert loss.item() == pytest.approx(naive.item(), rel=CLOSE, abs=CLOSE * size)
    assert worst(ours, gradients(model)) < CLOSE


@pytest.mark.parametrize("family", ["llama", "mistral"])
@given(drawn=BATCHES)
@settings(deadline=None, max_examples=25, derandomize=True)
def test_random_deep_forests_are_exact(family: str, drawn: list[list[tuple[int, float]]]) -> None:
    sequences = [Rendered([i for i, _ in row], [weight for _, weight in row]) for row in drawn]
    assert_exact(known(family), [*sequences, LAST])


@pytest.mark.parametrize("family", ["smollm", "gemma3"])
def test_long_batches_are_exact(family: str) -> None:
    assert_exact(known(family), batch(11))


def test_sharing_and_mere_packing_give_the_same() -> None:
    model, sequences = known("qwen3"), batch(12)
    told = []
    for share in (True, False):
        loss = loss_sum(model, plant(sequences, share))
        loss.backward()
        told.append((loss.item(), gradients(model)))
    assert told[0][0] == pytest.approx(told[1][0], rel=CLOSE)
    assert worst(told[0][1], told[1][1]) < CLOSE
