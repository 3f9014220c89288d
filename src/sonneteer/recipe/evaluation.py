"""Sections `evaluation` and `promotion`: how models are compared, and when the tuned one counts as better."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sonneteer.recipe.data import Axis
from sonneteer.recipe.section import Section
from sonneteer.records import fingerprint_of


class ExternalSettings(Section):
    """A model behind an API that answers the same test questions."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    """What reports and promotion rules call it."""
    url: str = Field(pattern=r"^https?://")
    """The server's address, with or without `/v1`. The test questions are sent there."""
    model: str
    """The model's name at that server."""
    api: Literal["openai", "anthropic"] = "openai"
    """Which of the two APIs the server speaks."""
    key_variable: str | None = None
    """Environment variable that holds the key; the key itself never stands in a recipe."""

    @property
    def version(self) -> str:
        """Names who answers; where the key is from changes nothing of that."""
        return fingerprint_of(self.model_dump(mode="json", exclude={"key_variable"}))


class JudgeSettings(Section):
    """Who says which of two answers is better."""

    by: str | None = None
    """Who judges: 'people' with `sonneteer judge`, or a model of `evaluation.externals`. `null` is nobody."""
    rubric: str = "Which answer helps the person who asks more: is it right, complete, clear and polite?"
    """What a judging model is told to look for."""
    max_pairs: int = Field(200, ge=1)
    """A judging model is asked about at most this many pairs, each twice."""


SuiteKind = Literal[
    "retention", "harness", "stereotype", "swaps", "refusal", "over_refusal", "injection", "system_leak"
]


class SuiteSettings(Section):
    """Texts that show what the training costs elsewhere; a promotion rule of their own."""

    kind: SuiteKind
    """'retention' measures forgetting on general texts, 'harness' on tasks of lm-evaluation-harness, 'stereotype'
    whether stereotypes are found likelier, 'swaps' how differently your own test questions are answered when a group
    changes, 'refusal' how often what is harmful is done, 'over_refusal' how often what is harmless is refused,
    'injection' how often orders in retrieved text are followed, 'system_leak' how often the system prompt is given
    away."""
    path: str = "bundled"
    """A .jsonl, .csv or .tsv file beside the recipe: docs/evaluation.md says what stands in it. 'swaps' needs none. For
    'harness': a folder with the YAML files of tasks of your own."""
    tasks: tuple[str, ...] = ()
    """For 'harness': which tasks or groups of tasks, by name. Those of the folder `path` need not be named. Data of the
    harness's own tasks are brought from the hub."""
    metrics: tuple[str, ...] = ()
    """For 'harness': which of the tasks' metrics count. All where none is named."""
    at_most: float = Field(gt=0)
    """How much worse than the base model it may be: bits per character, a share from 0 to 1, or what a task is
    measured in."""
    axes: tuple[Axis, ...] = ("gender", "age", "religion", "origin")
    """For 'swaps': which groups change places. Origin changes names alone."""
    max_rows: int = Field(400, ge=2)
    """At most so many questions are asked, or texts weighed: the first of a file or task, pairs of 'swaps' by
    fingerprint."""

    @model_validator(mode="after")
    def _has_tasks(self) -> SuiteSettings:
        if self.kind == "harness" and not self.tasks and self.path == "bundled":
            raise ValueError(
                "evaluation.suites: 'harness' needs `tasks`, such as [hellaswag], or in `path` a folder of your own."
            )
        return self


class MemorisationSettings(Section):
    """What is found out about what the model remembers of single training examples."""

    canaries: int = Field(0, ge=0)
    """Made-up secrets that are planted into the training, to see how far they are exposed. For a model that is audited,
    not for one that is shipped."""
    repeats: tuple[int, ...] = (1, 4, 16)
    """How often they are planted, each number for a part of them."""
    candidates: int = Field(500, ge=10)
    """Secrets that were not planted, among which a planted one is ranked."""
    extraction: int = Field(0, ge=0)
    """Training and test answers, so many of each, of which the model is given the first half to go on."""
    membership: int = Field(0, ge=0)
    """Training and test examples, at most so many of each, that attacks must tell apart."""
    personal: bool = False
    """Look for personal data in the answers, of the types that the section `privacy` does not keep."""

    @model_validator(mode="after")
    def _repeats_something(self) -> MemorisationSettings:
        if not self.repeats or min(self.repeats) < 1:
            raise ValueError("evaluation.memorisation.repeats must be numbers of 1 or more, such as [1, 4, 16].")
        if 0 < self.canaries < len(self.repeats):
            raise ValueError(
                f"evaluation.memorisation.canaries is {self.canaries}, but there must be one at least for each of the "
                f"{len(self.repeats)} numbers in `repeats`."
            )
        return self


class EvaluationSettings(Section):
    """How base and tuned model are compared on the sealed test split."""

    max_examples: int | None = Field(None, ge=1)
    """Use at most this many test examples, chosen by fingerprint."""
    max_answer_tokens: int = Field(128, ge=1)
    """Longest answer that a model may write."""
    batch_size: int = Field(32, ge=1)
    """Answers written at the same time."""
    metrics: tuple[str, ...] = (
        "perplexity",
        "bits_per_character",
        "token_accuracy",
        "rouge_l",
        "chrf",
        "normalized_match",
        "exact_match",
    )
    """What is measured besides the metrics of the promotion rules; docs/evaluation.md lists all metrics."""
    few_shot: int = Field(0, ge=0, le=32)
    """Also compare with the base model that is shown this many training examples before each question."""
    externals: tuple[ExternalSettings, ...] = ()
    """Also compare with these models behind an API."""
    suites: tuple[SuiteSettings, ...] = ()
    """Also measure on these texts what the training made worse; more than their `at_most` forbids the promotion."""
    memorisation: MemorisationSettings = MemorisationSettings()
    judge: JudgeSettings = JudgeSettings()
    """Also let a model or people judge pairs of answers, without knowing whose they are."""
    noise_draws: int = Field(0, ge=0)
    """Answers that the tuned model also draws to each question, two or more: how much a figure changes by the draw
    alone. 0 draws none."""
    noise_temperature: float = Field(0.7, gt=0, le=2)
    """How freely these are drawn."""
    learning_curve: tuple[float, ...] = ()
    """Also train on these shares of the examples, such as `[0.1, 0.3]`: what more examples would gain."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    resamples: int = Field(2000, ge=200)
    """Bootstrap resamples behind every interval."""

    @property
    def is_audited(self) -> bool:
        """Whether the recipe asks what the model remembers."""
        wanted = self.memorisation
        return bool(wanted.canaries or wanted.extraction or wanted.membership or wanted.personal)

    @model_validator(mode="after")
    def _draws_enough(self) -> EvaluationSettings:
        if self.noise_draws == 1:
            raise ValueError("evaluation.noise_draws is 1, and one draw does not vary: say 0, or 2 and more.")
        wrong = [share for share in self.learning_curve if not 0 < share < 1]
        if wrong:
            raise ValueError(
                f"evaluation.learning_curve: {wrong[0]:g} is no share between 0 and 1. All of the examples, 1, are "
                "learned from anyway."
            )
        return self


class PromotionSettings(Section):
    """When the tuned model counts as better."""

    better_on: tuple[str, ...] = ("perplexity",)
    """Metrics whose gain must be above zero with confidence, all of them."""
    better_than: tuple[str, ...] = ("base",)
    """Whom it must beat on the metrics of `better_on`: base, few_shot, champion, or the name of an external model."""
    judge_prefers: bool = False
    """The judge of `evaluation.judge` must prefer the tuned model, with confidence."""
    least_kappa: float = Field(0.4, ge=-1, le=1)
    """Agreement with people (Cohen's kappa) that a judging model must reach with confidence before it may decide."""
    not_worse_on: dict[str, float] = Field(default_factory=dict)
    """Metrics that may lose at most this much, with confidence."""
    floors: dict[str, float] = Field(default_factory=dict)
    """Figures that the tuned model must reach, with confidence: at least this, or at most where less is better."""
    most_memorised: dict[str, float] = Field(default_factory=dict)
    """Figures of `evaluation.memorisation` that may be at most so high, with confidence: exposure (bits), extracted
    (share), membership (area under the curve), personal (share)."""
    slices_not_worse: float | None = Field(None, ge=0)
    """Refuse a model that lost more than this on any topic or group, by the first metric of `better_on`."""
    equal_over: tuple[str, ...] = ()
    """Tags, such as group, over whose values the gain must not differ by more than chance, by the same metric."""
