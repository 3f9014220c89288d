"""The forest holds each shared prefix once, and every sequence whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sonneteer.models.forest import Forest, budgeted, plant
from sonneteer.records import Rendered

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=8)


def rendered(lists: list[list[int]]) -> list[Rendered]:
    return [Rendered(ids, [float(i % 3 != 1) for i in range(len(ids))]) for ids in lists]


def paths(forest: Forest) -> dict[int, list[int]]:
    """The tokens that each row sees, itself included, by its segment's spans."""
    seen = {}
    for segment in forest.segments:
        ancestors = [row for start, end in segment.ancestors for row in range(start, end)]
        for row in range(segment.start, segment.end):
            rows = ancestors + list(range(segment.start, row + 1))
            seen[row] = forest.ids_N[torch.tensor(rows)].tolist()
    return seen


@given(SEQUENCES)
def test_the_rows_of_a_forest_are_the_distinct_prefixes(lists: list[list[int]]) -> None:
    prefixes = {tuple(ids[: i + 1]) for ids in lists for i in range(len(ids))}
    assert sorted(map(tuple, paths(plant(rendered(lists))).values())) == sorted(prefixes)


@given(SEQUENCES)
def test_a_row_s_position_is_the_number_of_rows_before_it_on_its_path(lists: list[list[int]]) -> None:
    forest = plant(rendered(lists))
    assert all(len(path) - 1 == forest.positions_N[row] for row, path in paths(forest).items())


@given(SEQUENCES)
def test_each_term_predicts_the_next_token_of_its_sequence_from_the_tokens_before(lists: list[list[int]]) -> None:
    forest = plant(rendered(lists))
    seen = paths(forest)
    expected = sorted(
        (i, tuple(s.ids[:p]), s.ids[p], s.weights[p])
        for i, s in enumerate(rendered(lists))
        for p in range(1, len(s.ids))
        if s.weights[p]
    )
    rows, targets, weights, sequences = (tensor.tolist() for tensor in forest.terms)
    told = [(i, tuple(seen[r]), t, w) for r, t, w, i in zip(rows, targets, weights, sequences, strict=True)]
    assert sorted(told) == expected


@given(SEQUENCES)
def test_without_sharing_every_sequence_has_rows_of_its_own(lists: list[list[int]]) -> None:
    forest = plant(rendered(lists), share=False)
    assert forest.unique_tokens == forest.naive_tokens == sum(map(len, lists))


@given(SEQUENCES, st.integers(1, 20))
def test_groups_keep_to_the_budget_and_lose_nothing(lists: list[list[int]], budget: int) -> None:
    groups = budgeted(rendered(lists), budget)
    assert sorted(i for group in groups for i in group) == list(range(len(lists)))
    for group in groups:
        assert len(group) == 1 or plant(rendered([lists[i] for i in group])).unique_tokens <= budget


def test_groups_are_as_even_as_their_number_allows() -> None:
    groups = budgeted(rendered([[i, *range(100, 100 + i)] for i in (30, 29, 28, 27, 26)]), 100)
    assert sorted(map(len, groups)) == [2, 3]
    alike = [[1] * 50 + [i] * 10 for i in range(2, 6)] + [[2] * 50 + [i] * 10 for i in range(3, 7)]
    assert budgeted(rendered(alike), 120) == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("sequences", [[], [Rendered([], [])]])
def test_an_empty_batch_or_sequence_is_refused(sequences: list[Rendered]) -> None:
    with pytest.raises(ValueError, match="at least one sequence"):
        plant(sequences)
