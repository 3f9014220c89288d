"""The step-size schedule, and Muon's orthogonal steps."""

from __future__ import annotations

import pytest
import torch

from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training.optimizer import Muon, optimizers, orthogonal, schedule


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_the_step_size_rises_to_its_peak_and_ends_at_its_final_share(kind: str) -> None:
    share = schedule(TrainingSettings(schedule=kind, warmup_share=0.1, final_share=0.2), 100)
    shares = [share(step) for step in range(1, 101)]
    assert max(shares) == shares[9] == 1.0
    assert shares[:10] == sorted(shares[:10])
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[-1] == pytest.approx(1.0 if kind == "constant" else 0.2)


def test_an_orthogonal_step_has_singular_values_near_one() -> None:
    matrix = torch.randn(48, 16, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.6 < values.min() <= values.max() < 1.3


def test_muon_moves_like_torch_s_own() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.nn.Parameter(torch.randn(24, 16)), torch.nn.Parameter(torch.zeros(24, 16))
    theirs.data.copy_(ours.data)
    one = Muon([ours], lr=0.01, momentum=0.95, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.01, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        ours.grad = theirs.grad = torch.randn(24, 16)
        one.step()
        other.step()
    # torch.optim.Muon orthogonalises in bfloat16, hence the loose bound
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=2e-2)


def test_only_matrices_inside_the_blocks_go_to_muon() -> None:
    parameters = [
        ("model.embed_tokens.weight", torch.nn.Parameter(torch.zeros(8, 4))),
        ("model.layers.0.mlp.up_proj.weight", torch.nn.Parameter(torch.zeros(4, 4))),
        ("model.norm.weight", torch.nn.Parameter(torch.zeros(4))),
    ]
    muon, adamw = optimizers(parameters, TrainingSettings(optimizer="muon"))
    assert [len(group["params"]) for group in muon.param_groups] == [1]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 2


def test_the_learning_rate_is_read_from_the_recipe() -> None:
    parameters = [("a", torch.nn.Parameter(torch.zeros(4, 4)))]
    (adamw,) = optimizers(parameters, TrainingSettings(learning_rate=0.123, weight_decay=0.5))
    assert adamw.param_groups[0]["lr"] == 0.123
    assert adamw.param_groups[0]["weight_decay"] == 0.5
