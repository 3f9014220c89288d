"""What frozen blocks make of the data is computed once, and the rest of the network cannot tell the difference."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import torch

from sonneteer.models import trunk
from sonneteer.models.forest import plant
from sonneteer.models.layers import frozen_blocks, thaw
from sonneteer.models.logprobs import hidden_states
from sonneteer.models.trunk import can_keep, keep_trunk, size_gb
from sonneteer.records import Rendered

from .networks import FAMILIES, network


def sequences(count: int = 12) -> list[Rendered]:
    """Some begin alike, one is the beginning of another."""
    rng = random.Random(0)
    starts = [[5, 6, 7, 8, 9, 10] * 4, [5, 6, 7, 11], [12]]
    ids = [rng.choice(starts) + [rng.randrange(4, 400) for _ in range(rng.randint(1, 9))] for _ in range(count)]
    return [Rendered(one, [0.0] + [1.0] * (len(one) - 1)) for one in [*ids, starts[0]]]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_states_and_gradients_are_those_of_the_whole_network(family: str, tmp_path: Path) -> None:
    model = network(family)
    thaw(model, "last 1")
    known = keep_trunk(model, sequences(), 40, tmp_path / "trunk")
    batch = [sequences()[i] for i in (3, 12, 7, 1)]
    assert known.knows(batch)
    gradients = []
    for hidden in (known.hidden_states(plant(batch), batch), hidden_states(model, plant(batch))):
        loss = (hidden * torch.arange(hidden.numel()).view_as(hidden).sin()).sum()
        gradients.append(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad]))
    torch.testing.assert_close(known.hidden_states(plant(batch), batch), hidden_states(model, plant(batch)))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_lower_blocks_are_not_computed_any_more_and_are_there_again_afterwards(tmp_path: Path) -> None:
    model = network("llama")
    thaw(model, "last 1")
    known = keep_trunk(model, sequences(), 40, tmp_path / "trunk")
    calls = []
    handle = model.get_decoder().layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    known.hidden_states(plant(sequences()), sequences())
    assert calls == []
    hidden_states(model, plant(sequences()))
    assert calls == [1]
    handle.remove()


def test_a_whole_file_is_opened_and_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("llama")
    thaw(model, "last 1")
    first = keep_trunk(model, sequences(), 40, tmp_path / "trunk")
    wanted = first.hidden_states(plant(sequences()), sequences())
    monkeypatch.setattr(trunk, "forests", None)
    again = keep_trunk(model, sequences(), 40, tmp_path / "trunk")
    assert torch.equal(again.hidden_states(plant(sequences()), sequences()), wanted)
    assert os.path.getsize(tmp_path / "trunk") == round(size_gb(model, sequences()) * 1e9)


def test_unknown_texts_and_networks_whose_lowest_blocks_learn_are_told_apart(tmp_path: Path) -> None:
    model = network("llama")
    assert not can_keep(model.requires_grad_(True))
    thaw(model, "first 1")
    assert frozen_blocks(model) == 0
    thaw(model, "last 1")
    assert can_keep(model)
    known = keep_trunk(model, sequences(), 40, tmp_path / "trunk")
    assert not known.knows([Rendered([5, 6], [0.0, 1.0])])
