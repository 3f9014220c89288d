"""Every example comes once in each epoch, and a step's batch follows from the step alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sonneteer.training.sampler import Sampler


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
