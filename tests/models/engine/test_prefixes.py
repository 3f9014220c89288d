"""What has been read once is put in place, token by token, and is what reading gives."""

from __future__ import annotations

from itertools import accumulate, takewhile

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sonneteer.models.engine.prefixes import BLOCK, Prefixes

TEXTS = st.lists(st.integers(0, 1), min_size=1, max_size=3 * BLOCK)
PLENTY = 10**6


def read(ids: list[int], reader: str = "") -> Tensor:
    """Keys and values of a network that remembers all before each token: (L, 2, K, T, E)."""
    seen = accumulate(ids, lambda told, token: hash((told, token)) % 2**40, initial=hash(reader) % 2**40)
    return torch.tensor(list(seen)[1:], dtype=torch.float64).view(1, 1, 1, -1, 1).expand(2, 2, 3, -1, 4).clone()


def common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@given(st.lists(TEXTS, max_size=5), TEXTS, st.integers(0, 3 * BLOCK))
def test_what_is_filled_in_is_what_reading_gives(kept: list[list[int]], ids: list[int], start: int) -> None:
    prefixes, start = Prefixes(PLENTY), min(start, len(ids) - 1)
    for text in kept:
        prefixes.keep(text, "", read(text))
    kv = torch.zeros_like(read(ids))
    kv[:, :, :, :start] = read(ids)[:, :, :, :start]
    known = prefixes.fill(ids, "", kv, start)
    blocks = max((common(ids[:-1], text) // BLOCK for text in kept), default=0)
    assert max(start, blocks * BLOCK) <= known < len(ids)
    assert torch.equal(kv[:, :, :, :known], read(ids)[:, :, :, :known])


@given(TEXTS, TEXTS)
def test_all_that_a_text_shares_with_the_whole_blocks_of_another_is_known(text: list[int], ids: list[int]) -> None:
    prefixes = Prefixes(PLENTY)
    prefixes.keep(text, "", read(text))
    whole = text[: len(text) // BLOCK * BLOCK]
    assert prefixes.fill(ids, "", read(ids)) == common(ids[:-1], whole)


def test_what_another_reader_has_read_is_of_no_use() -> None:
    prefixes, ids = Prefixes(PLENTY), [1] * 40
    prefixes.keep(ids, "one", read(ids, "one"))
    assert prefixes.fill(ids, "other", read(ids)) == 0


@given(st.lists(TEXTS, min_size=1, max_size=8), TEXTS)
def test_memory_stays_within_its_limit_and_what_is_left_is_right(kept: list[list[int]], ids: list[int]) -> None:
    block = read([0] * BLOCK).nbytes
    prefixes = Prefixes(2 * block)
    for text in kept:
        prefixes.keep(text, "", read(text))
        assert prefixes.bytes <= 2 * block
    kv = torch.zeros_like(read(ids))
    known = prefixes.fill(ids, "", kv)
    assert torch.equal(kv[:, :, :, :known], read(ids)[:, :, :, :known])
