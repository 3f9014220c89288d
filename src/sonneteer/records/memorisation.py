"""What a model remembers of single training examples, and what of it could be drawn out."""

from __future__ import annotations

from pydantic import Field

from sonneteer.records.interval import Interval
from sonneteer.records.record import Record


class Exposure(Record):
    """How far made-up secrets are exposed that were planted equally often. In bits; an unplanted one has 1.44."""

    repeats: int
    canaries: int
    base: Interval
    tuned: Interval
    extrapolated: float
    """The tuned model's mean by the fitted skew-normal distribution, which reaches beyond the candidates."""
    most: float
    """What the number of candidates allows: this much means that no candidate was likelier than the secret."""


class Extraction(Record):
    """How often a model goes on with an answer's own words, given its first half."""

    exact_learned: Interval
    """Share of training answers that go on word for word."""
    exact_held_out: Interval
    """The same for test answers: what can be guessed without having been seen."""
    near_learned: Interval
    near_held_out: Interval
    base_exact_learned: Interval
    excess: Interval
    """Exact share of the training answers minus that of the test answers: what was learned by heart."""
    learned: int
    held_out: int


class Membership(Record):
    """How well an attack tells training examples from test examples: 0.5 is chance."""

    attack: str
    auc: Interval
    caught: Interval | None = None
    """Share of the training examples that it finds while it is wrong on one test example in a hundred; None where there
    are too few."""


class PersonalData(Record):
    """Personal data in answers to the test questions that the question did not hold."""

    base: Interval
    """Share of the answers."""
    tuned: Interval
    from_training: int
    """Answers of the tuned model in which it is a value that stands in a training example."""
    kinds: dict[str, int] = Field(default_factory=dict)
    """Pieces by type in the tuned model's answers."""


class Memorisation(Record):
    """The audit of a tuned model. What was not asked for, or could not be had, is missing."""

    exposures: tuple[Exposure, ...] = ()
    extraction: Extraction | None = None
    memberships: tuple[Membership, ...] = ()
    personal: PersonalData | None = None
    unavailable: dict[str, str] = Field(default_factory=dict)
    """What could not be measured, and why."""
