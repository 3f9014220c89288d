"""Figures with confidence, the verdict and its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from sonneteer.records.conversation import Message
from sonneteer.records.interval import Interval
from sonneteer.records.memorisation import Memorisation
from sonneteer.records.record import Record, fingerprint_of
from sonneteer.records.run import PrivacySpent


class Comparison(Record):
    """One metric on the same examples, base against tuned."""

    metric: str
    higher_is_better: bool
    base: Interval
    tuned: Interval
    gain: Interval
    """Tuned minus base, turned so that more is better."""
    examples: int
    clusters: int = 0
    """Groups of examples that belong together: what is independent of one another."""
    p_values: dict[str, float] = Field(default_factory=dict)
    """Chance of a difference at least this large between equal models, by test; two-sided."""
    adjusted_p_value: float | None = None
    """The randomisation test's, after Holm's correction for all metrics and parts of the report."""
    detectable: float | None = None
    """The smallest true gain that so many examples find, four times out of five."""


Verdict = Literal["better", "not better", "cannot tell"]


class RuleOutcome(Record):
    """One promotion rule, and whether it was met: `better` is met, `not better` is broken."""

    rule: str
    verdict: Verdict
    reason: str


Choice = Literal["base", "tuned", "tie"]


class Judging(Record):
    """What a judge, model or people, thinks of the answers."""

    by: str = "people"
    preference: Comparison
    """How often each model's answer is preferred; a tie counts half for both."""
    ties: int
    labelled: int
    """Pairs that people labelled, too."""
    kappa: Interval | None = None
    """A judging model's agreement with people beyond chance (Cohen); None where people labelled nothing."""
    order_share: float | None = None
    """How often a judging model's ruling followed the order of the answers; such rulings are ties."""
    longer_share: float | None = None
    """How often the preferred answer was the longer one."""


class Classification(Record):
    """How one model sorted the examples into classes."""

    accuracy: float
    macro_f1: float
    """Mean over the classes, so that rare ones count as much as frequent ones."""
    confusion: dict[str, dict[str, int]]
    """Right class, given class, examples."""


class SideBySide(Record):
    """One test example and what base and tuned model said."""

    example_id: str
    prompt: tuple[Message, ...]
    tags: dict[str, str] = Field(default_factory=dict)
    reference: str
    base: str
    tuned: str
    score_gain: float


class Gap(Record):
    """How differently the groups of a tag gained from the training."""

    tag: str
    metric: str
    gains: dict[str, float]
    """By group, turned so that more is better."""
    gap: float
    """Largest minus smallest gain."""
    expected: float
    """What chance makes of groups that are alike, on average."""
    p_value: float
    """Chance of a gap at least this large between groups that are alike."""


class Detectable(Record):
    """The smallest true gain that a test set shows, four times out of five."""

    metric: str
    gain: float
    is_in_deviations: bool = False
    """Whether the gain is counted in standard deviations of the paired difference, as nobody knows these yet."""
    clusters: int
    """Groups of test examples that are independent of one another."""
    basis: str
    """Where the spread is known from, or what is assumed."""


class Case(Record):
    """A confirmed bad answer: every later evaluation asks again, and what was fixed once has to stay fixed."""

    id: str
    prompt: tuple[Message, ...]
    bad: str
    """What the model said."""
    good: str
    """What it ought to have said."""
    must: tuple[str, ...] = ()
    """Phrases that a good answer holds, whatever their case."""
    must_not: tuple[str, ...] = ()
    """Phrases that no good answer holds."""
    created_at: datetime

    @staticmethod
    def name_of(prompt: Sequence[Message], bad: str) -> str:
        """The id: the same question with the same bad answer is the same case, wherever it was met."""
        return f"case-{fingerprint_of([[message.role, message.text] for message in prompt] + [bad])}"


class CaseOutcome(Record):
    """What the tuned model said to a case."""

    case_id: str
    question: str
    answer: str
    is_fixed: bool
    was_fixed: bool = False
    """Whether an earlier report found it fixed."""


class Usage(Record):
    """What an answer of the tuned model takes, on average over the test questions."""

    prompt_tokens: float
    answer_tokens: float
    seconds: float
    """Many were written at the same time."""


class CurvePoint(Record):
    """How well a model does that learned from a share of the training examples."""

    share: float
    examples: int
    validation_loss: float


class Report(Record):
    """Figures with confidence, the verdict and its reasons."""

    id: str
    run_id: str
    dataset_id: str
    created_at: datetime
    confidence: float
    comparisons: tuple[Comparison, ...]
    against: dict[str, tuple[Comparison, ...]] = Field(default_factory=dict)
    """The tuned model against each further arm, which stands in the place of the base model."""
    suites: dict[str, Comparison] = Field(default_factory=dict)
    """What the training cost elsewhere, named as in `retention (bundled)`."""
    slices: dict[str, Comparison] = Field(default_factory=dict)
    """The first promotion metric on parts of the test split, named as in `topic: refunds`."""
    gaps: tuple[Gap, ...] = ()
    """Whether some groups gained more than others, by the same metric."""
    verdict: Verdict
    reasons: tuple[str, ...]
    rules: tuple[RuleOutcome, ...] = ()
    """Each promotion rule with its outcome."""
    judging: Judging | None = None
    classification: dict[str, Classification] = Field(default_factory=dict)
    """By arm, where the right answers are a few labels."""
    calibration_error: dict[str, float] = Field(default_factory=dict)
    """By arm, on multiple choice: how far belief and success lie apart (ECE)."""
    side_by_side: tuple[SideBySide, ...]
    privacy: PrivacySpent | None = None
    """What the training promised of single examples or people, where it was differentially private."""
    memorisation: Memorisation | None = None
    """What the tuned model remembers of single training examples, where the recipe asks."""
    generalisation_gap: float | None = None
    """By how much the tuned model's loss is higher on what watched its training than on as many learned examples."""
    gap_interval: Interval | None = None
    """Where that lies with 95 % confidence."""
    usage: Usage | None = None
    """What an answer takes; None where nothing was asked anew."""
    decode_noise: dict[str, float] = Field(default_factory=dict)
    """By metric: two runs of the tuned model that draw their answers differ by less, as often as `confidence` says."""
    cases: tuple[CaseOutcome, ...] = ()
    """Every confirmed bad answer, asked again."""
    learning_curve: tuple[CurvePoint, ...] = ()
    """What the same training comes to with a part of the examples."""
    declined: dict[str, int] = Field(default_factory=dict)
    """By arm: how many questions it declined to answer. What it said instead is scored as it stands."""
    unavailable: dict[str, str] = Field(default_factory=dict)
    """Metrics that could not be had, and why."""
    answers_file: str
    """Every raw answer of both models, in the store."""
    seconds: float
    test_openings: int
    """How often the sealed test split had been opened, this time included."""
