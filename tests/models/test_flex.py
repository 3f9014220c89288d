"""What graphics cards compute: the same attention, by a mask made from the segments. Here checked on the processor."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonneteer.models import flex
from sonneteer.models.attention import PathPlan
from sonneteer.models.forest import plant
from sonneteer.records import Rendered

from .test_forest import paths, rendered

SEQUENCES = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=6)
WINDOWS = st.sampled_from([None, 2, 4])


def dense(lists: list[list[int]], window: int | None) -> torch.Tensor:
    """True where a row (first index) sees another, by walking every path."""
    forest = plant(rendered(lists))
    mask = torch.zeros(forest.unique_tokens, forest.unique_tokens, dtype=torch.bool)
    for segment in forest.segments:
        ancestors = [row for start, end in segment.ancestors for row in range(start, end)]
        for row in range(segment.start, segment.end):
            path = ancestors + list(range(segment.start, row + 1))
            mask[row, path[-window:] if window else path] = True
    assert mask.sum(1).tolist() == [len(p[-window:] if window else p) for _, p in sorted(paths(forest).items())]
    return mask


@given(SEQUENCES, WINDOWS)
@settings(deadline=None, max_examples=40)
def test_the_mask_sees_what_the_paths_say(lists: list[list[int]], window: int | None) -> None:
    mask = flex.FlexPlan(plant(rendered(lists))).mask(window)
    expected = dense(lists, window)
    rows, others = torch.meshgrid(torch.arange(len(expected)), torch.arange(len(expected)), indexing="ij")
    assert torch.equal(mask.mask_mod(0, 0, rows, others), expected)


@given(SEQUENCES, WINDOWS)
@settings(deadline=None, max_examples=40)
def test_no_block_with_anything_seen_is_left_out_and_whole_ones_are_whole(
    lists: list[list[int]], window: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flex, "SIDE", 2)
        some, whole = flex.seen_blocks(plant(rendered(lists)), window)
    expected = dense(lists, window)
    for i in range(len(some)):
        for j in range(len(some)):
            block = expected[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            assert some[i, j] or not block.any()
            assert not whole[i, j] or (block.all() and block.numel() == 4)


@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile.*:UserWarning")
def test_both_kernels_agree(window: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    start = list(range(150))
    lists = [start, [*start[:140], *range(200, 330)], [*start[:60], *range(400, 450)], [7, *start[:30]]]
    forest = plant([Rendered(ids, [1.0] * len(ids)) for ids in lists])
    query = torch.randn(1, 4, forest.unique_tokens, 16, generator=generator)
    key, value = (torch.randn(1, 2, forest.unique_tokens, 16, generator=generator) for _ in range(2))
    told = [plan(forest).attend(query, key, value, 0.25, window) for plan in (PathPlan, flex.FlexPlan)]
    torch.testing.assert_close(told[0], told[1], atol=1e-5, rtol=1e-5)
