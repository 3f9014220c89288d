"""The nouns: the papers that travel between the workshops. Frozen, and unknown fields are refused."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["system", "user", "assistant", "tool"]
SplitName = Literal["train", "validation", "test"]


class Record(BaseModel):
    """One kind of paper: immutable, strict about its fields, comparable by value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content_fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name this content, whatever process computes them."""
        return fingerprint_of(self.model_dump(mode="json"))


def fingerprint_of(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, cut to sixteen hexadecimal digits (64 bits)."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# What people said: one unit of data everywhere ------------------------------------------------


class ToolCall(Record):
    """The assistant asks for a tool to be run."""

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Message(Record):
    """One turn of a conversation."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """For a tool's turn: which call this is the result of."""
    is_learned: bool = True
    """False keeps an assistant's turn as context that training does not imitate."""


class Prompt(Record):
    """What a model is asked: the conversation so far, and the tools it may call (JSON schemas)."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


class Example(Record):
    """A conversation that ends in the answer. Training learns `answer`; evaluation sends `prompt`."""

    messages: tuple[Message, ...]
    rejected: Message | None = None
    """A worse answer to the same prompt (preference data)."""
    label: bool | None = None
    """Whether people liked the answer (unpaired feedback)."""
    tools: tuple[dict[str, Any], ...] = ()
    reference: dict[str, Any] = Field(default_factory=dict)
    """Fields that a scorer or a reward may compare the answer with."""
    tags: dict[str, str] = Field(default_factory=dict)
    """What is counted and kept together: source, topic, group, person, conversation, document, time."""
    is_text: bool = False
    """Plain text without roles: one message, rendered as it stands and learned whole."""

    @model_validator(mode="after")
    def _ends_in_an_answer(self) -> Example:
        if not self.messages or self.messages[-1].role != "assistant":
            raise ValueError("the last message must be the assistant's answer")
        return self

    @property
    def prompt(self) -> Prompt:
        """The conversation before the answer."""
        return Prompt(messages=self.messages[:-1], tools=self.tools)

    @property
    def answer(self) -> Message:
        """The last message: what a good model says here."""
        return self.messages[-1]

    def with_answer(self, answer: Message) -> Example:
        """The same question with another answer."""
        return self.model_copy(update={"messages": (*self.messages[:-1], answer), "rejected": None, "label": None})

    @property
    def as_rejected(self) -> Example | None:
        """The same question with the rejected answer, where there is one."""
        return None if self.rejected is None else self.with_answer(self.rejected)

    @cached_property
    def id(self) -> str:
        """Fingerprint of what the example says. Tags do not count: the same words twice are a duplicate."""
        return fingerprint_of(self.model_dump(mode="json", exclude={"tags", "reference"}))


class Rendered(NamedTuple):
    """An example as a model reads it: `weights[i]` is the loss weight of predicting `ids[i]` (0: not learned)."""

    ids: list[int]
    weights: list[float]


class Renderer(Protocol):
    """Turns examples into token ids with one model's own template."""

    def render(self, example: Example) -> list[Rendered]:
        """Token ids and loss weights: usually one sequence, several where one cannot hold all that is learned."""
        ...


# What became of the data -----------------------------------------------------------------------

Fate = Literal[
    "train",
    "validation",
    "test",
    "broken",
    "duplicate",
    "near_duplicate",
    "contaminated",
    "dropped",
    "too_long",
    "nothing_to_learn",
    "disliked",
    "private",
]
KEPT: tuple[SplitName, ...] = ("train", "validation", "test")


class LedgerEntry(Record):
    """What became of one source row, and why."""

    source: str
    row: int
    """Line number in a text file, row number (from 1) elsewhere."""
    fate: Fate
    reason: str = ""
    example_id: str | None = None
    remarks: tuple[str, ...] = ()
    """What was repaired or noted, whatever the fate."""


class Source(Record):
    """One file that rows were read from, as it was at that moment."""

    path: str
    sha256: str
    format: str
    rows: int
    licence: str = ""
    """As the recipe states it."""


class Split(Record):
    """One side of the split: a Parquet file in the store, named by its content."""

    file: str
    examples: int
    fingerprint: str


class DatasetVersion(Record):
    """Frozen splits, named by the fingerprint of their content, with the ledger of every source row."""

    id: str
    name: str
    created_at: datetime
    prepared_from: str
    """Fingerprint of the sources' contents and of the settings: the same again need not be prepared again."""
    splits: dict[SplitName, Split]
    sources: tuple[Source, ...]
    totals: dict[Fate, int]
    """Rows by fate. Their sum is the number of rows that the sources hold."""
    ledger_file: str
    redacted: dict[str, int] = Field(default_factory=dict)
    """Personal data that was taken out of the rows, pieces by type."""
    redacted_rows: int = 0
    """Rows that something was taken out of."""
    tag_counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Kept examples by tag and value, of the tags with at most fifty values."""
    token_counts: dict[SplitName, int] = Field(default_factory=dict)
    learned_token_counts: dict[SplitName, int] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all sources."""
        return sum(self.totals.values())


# What was done with it -------------------------------------------------------------------------


class Machine(Record):
    """Where something ran."""

    processor: str
    cores: int
    memory_gb: float
    device: str = "cpu"
    software: dict[str, str] = Field(default_factory=dict)


RunStatus = Literal["running", "interrupted", "failed", "done"]


class Run(Record):
    """One training attempt."""

    id: str
    name: str
    status: RunStatus
    recipe: dict[str, Any]
    """The settings that decide the result, defaults filled in."""
    dataset_id: str
    base: str
    base_fingerprint: str
    machine: Machine
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float = 0.0
    """Time spent training, over all attempts."""
    steps: int = 0
    best_step: int | None = None
    best_validation_loss: float | None = None
    first_validation_loss: float | None = None
    """Before the first step: what the base model loses on the validation split, in nats per learned token."""
    train_loss: float | None = None
    """The same loss of the kept weights on examples that were learned, as many as in the validation split."""
    tokens: int = 0
    """Tokens of all steps as a plain padded trainer would have computed them, padding aside."""
    unique_tokens: int = 0
    """Tokens really computed: each shared prefix of a batch counts once."""
    learned_tokens: int = 0
    peak_memory_gb: float = 0.0
    expected_memory_gb: float = 0.0
    """What the formula of `training/plan.py` said before: past runs correct the next plans."""
    work_tflop: float = 0.0
    """Floating-point operations by the same formula, in 10^12; with `seconds` the speed of this machine."""
    parameters: int = 0
    trained_parameters: int = 0
    problem: str = ""

    @property
    def generalisation_gap(self) -> float | None:
        """By how much the kept model loses more on what it did not learn than on what it did. Large is overfitted."""
        if self.best_validation_loss is None or self.train_loss is None:
            return None
        return self.best_validation_loss - self.train_loss


class Interval(Record):
    """An estimate and the interval that covers the truth at the stated confidence."""

    value: float
    low: float
    high: float


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
    unavailable: dict[str, str] = Field(default_factory=dict)
    """Metrics that could not be had, and why."""
    answers_file: str
    """Every raw answer of both models, in the store."""
    seconds: float
    test_openings: int
    """How often the sealed test split had been opened, this time included."""


class Check(Record):
    """One thing that was proven, or not."""

    name: str
    is_passed: bool
    says: str


class Certificate(Record):
    """The proof that what is served is what was trained."""

    model_id: str
    created_at: datetime
    checks: tuple[Check, ...]
    files: dict[str, str]
    """SHA-256 of each of the model's files."""

    @property
    def is_valid(self) -> bool:
        """Whether all was proven."""
        return all(check.is_passed for check in self.checks)


Stage = Literal["candidate", "champion", "retired"]


class ModelVersion(Record):
    """A trained model with its lineage."""

    id: str
    name: str
    number: int
    base: str
    base_fingerprint: str
    folder: str
    """Where the adapter or the weights lie, below the workspace."""
    is_adapter: bool
    run_id: str
    dataset_id: str
    report_id: str | None = None
    certificate_file: str | None = None
    """The certificate, in the store."""
    stage: Stage = "candidate"
    retrain_because: str = ""
    """Why it should be trained again, such as a person's wish to be forgotten."""
    created_at: datetime
