"""Drawing follows the distribution that temperature, top-k and top-p leave, row by row."""

from __future__ import annotations

from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.chat import Options
from sonneteer.models.engine.draw import Wish, choose


def allowed(logits: torch.Tensor, options: Options) -> set[int]:
    """What may be drawn at all, by sorting all of it."""
    shares, order = (logits / options.temperature).softmax(-1).sort(descending=True, stable=True)
    kept = (shares.cumsum(-1) - shares) < options.top_p - 1e-5
    kept[0] = True
    count = int(kept.sum()) + 1  # the border may fall to either side by rounding
    return set(order[: min(count, options.top_k or count)].tolist())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 1, 3, 700]), st.floats(0.01, 1.0), st.floats(0.3, 2.0))
def test_only_what_top_k_and_top_p_leave_is_drawn(seed: int, top_k: int | None, top_p: float, heat: float) -> None:
    logits = torch.randn(4, 1000, generator=torch.Generator().manual_seed(seed)) * 3
    free = Options(temperature=heat, top_k=top_k, top_p=top_p)
    wishes = [Wish(free, Random(seed)), Wish(Options(), Random(1)), Wish(free, Random(seed)), Wish(free, Random(2))]
    chosen = choose(logits, wishes)
    assert chosen[1] == int(logits[1].argmax())
    for row in (0, 2, 3):
        assert chosen[row] in allowed(logits[row], free)


def test_tokens_come_as_often_as_their_shares_say() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).repeat(1, 1)
    chance = Random(5)
    for options, shares in (
        (Options(temperature=1.0), logits[0].softmax(-1)),
        (Options(temperature=1.0, top_k=2), torch.tensor([-torch.inf, 1.0, 2.0, -torch.inf]).softmax(-1)),
    ):
        drawn = [choose(logits, [Wish(options, chance)])[0] for _ in range(3000)]
        found = torch.tensor(drawn).bincount(minlength=4) / 3000
        assert (found - shares).abs().max() < 0.04
