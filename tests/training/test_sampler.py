"""Every example comes once in each epoch, and a step's batch follows from the step alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sonneteer.records import Rendered
from sonneteer.training.lessons import Lesson, groups_of
from sonneteer.training.sampler import Replay, Sampler


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 3), st.integers(0, 5))
def test_each_epoch_holds_each_example_once(examples: int, batch_size: int, epochs: int, seed: int) -> None:
    sampler = Sampler(examples, batch_size, float(epochs), seed)
    seen = [i for step in range(1, sampler.steps + 1) for i in sampler.batch(step)]
    assert len(seen) == epochs * examples
    for epoch in range(epochs):
        assert sorted(seen[epoch * examples : (epoch + 1) * examples]) == list(range(examples))


def test_epochs_are_shuffled_differently_and_seeds_too() -> None:
    one, other = Sampler(50, 50, 2.0, 0), Sampler(50, 50, 2.0, 1)
    assert len({tuple(one.batch(1)), tuple(one.batch(2)), tuple(other.batch(1))}) == 3


def test_half_an_epoch_sees_half_of_the_examples() -> None:
    sampler = Sampler(10, 2, 0.5, 0)
    assert sum(len(sampler.batch(step)) for step in range(1, sampler.steps + 1)) == 5


GROUPS = [[0, 1, 2, 3, 4], [5], [6, 7], [8], [9]]


@given(st.integers(1, 8), st.integers(0, 5))
def test_groups_stay_together_and_each_example_still_comes_once(batch_size: int, seed: int) -> None:
    sampler = Sampler(10, batch_size, 2.0, seed, groups=GROUPS)
    seen = [i for step in range(1, sampler.steps + 1) for i in sampler.batch(step)]
    for order in (seen[:10], seen[10:]):
        assert sorted(order) == list(range(10))
        for group in GROUPS:
            places = sorted(order.index(i) for i in group)
            around = [(place - places[0]) % 10 for place in places]
            gaps = [second - first for first, second in zip(around, [*around[1:], 10], strict=True)]
            assert sorted(gaps)[:-1] == [1] * (len(group) - 1)  # neighbours on the circle


def test_every_example_is_equally_likely_in_every_batch_however_large_its_group() -> None:
    draws = 6000
    counts = Counter(Sampler(10, 1, 1.0, seed, groups=GROUPS).batch(1)[0] for seed in range(draws))
    expected = draws / 10
    chi_square = sum((counts[i] - expected) ** 2 / expected for i in range(10))
    assert chi_square < 27.9  # 9 degrees of freedom: one seed set in a thousand is beyond


def test_lessons_that_begin_alike_are_a_group_up_to_its_size() -> None:
    def lesson(*ids: int) -> Lesson:
        return Lesson([Rendered(list(ids), [1.0] * len(ids))])

    lessons = [lesson(1, 2, 3, 4), lesson(9, 9), lesson(1, 2, 3), lesson(1, 7, 7, 7), lesson(1, 2, 3, 5, 6)]
    assert [sorted(group) for group in groups_of(lessons, 8)] == [[0, 2, 4], [3], [1]]
    assert [len(group) for group in groups_of(lessons, 2)] == [2, 1, 1, 1]


@given(st.integers(4, 40), st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.5]))
def test_general_examples_have_their_share_of_every_epoch(examples: int, pool: int, share: float) -> None:
    sampler = Sampler(examples, 4, 3.0, 0, Replay(pool, share))
    seen = [i for step in range(1, sampler.steps + 1) for i in sampler.batch(step)]
    length = examples + sampler.replayed
    assert abs(sampler.replayed - share * length) <= 1
    for epoch in range(3):
        order = seen[epoch * length : (epoch + 1) * length]
        assert sorted(i for i in order if i < examples) == list(range(examples))
    replayed = Counter(i for i in seen if i >= examples)
    assert set(replayed) <= set(range(examples, examples + pool))
    if replayed:
        times = [replayed[i] for i in range(examples, examples + pool)]
        assert max(times) - min(times) <= 1  # all of them, before one comes again
