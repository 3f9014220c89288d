"""What an engine tells of a few tokens is measured as the whole distribution is, as far as it goes."""

from __future__ import annotations

import pytest
import torch

from sonneteer.models.proof import Told, Trace, coarse_kl, distance, told_distance

WORDS = [f"word {i}" for i in range(40)]


def trace(seed: int) -> Trace:
    torch.manual_seed(seed)
    log_probs = (3 * torch.randn(4, 40)).log_softmax(-1)
    ranked = log_probs.topk(2)
    answer, leads = log_probs[:, 7], ranked.values[:, 0] - ranked.values[:, 1]
    return Trace(torch.arange(6), log_probs[0], answer, ranked.indices[:, 0], leads)


def told(of: Trace, count: int) -> Told:
    values, tokens = of.next_V.topk(count)
    likely = {WORDS[token]: value for token, value in zip(tokens.tolist(), values.tolist(), strict=True)}
    return Told(likely, of.answer_A.tolist(), [WORDS[token] for token in of.choices_A.tolist()])


@pytest.mark.parametrize("seed", range(5))
def test_the_kl_over_some_tokens_and_the_rest_grows_to_the_whole(seed: int) -> None:
    ours, theirs = trace(seed), trace(seed + 100)
    whole = distance([ours], [theirs])
    found = [told_distance([ours], [told(theirs, count)], WORDS) for count in (1, 5, 20, 40)]
    kls = [one.kl for one in found]
    assert kls == sorted(kls)
    assert kls[-1] == pytest.approx(whole.kl, rel=1e-4)
    assert [one[1:] for one in found] == [pytest.approx(whole[1:])] * 4


def test_an_engine_that_tells_the_same_is_not_apart() -> None:
    ours = trace(0)
    near = told_distance([ours], [told(ours, 5)], WORDS)
    assert near == pytest.approx((0.0, 0.0, 1.0), abs=1e-6)
    assert coarse_kl(ours.next_V, {int(ours.next_V.argmax()): -20.0}) > 1


def test_of_tokens_that_look_alike_the_likeliest_is_meant() -> None:
    ours = trace(0)
    alike = [WORDS[0] if token == int(ours.next_V.argmin()) else word for token, word in enumerate(WORDS)]
    assert told_distance([ours], [told(ours, 40)], alike).kl < 1e-3
