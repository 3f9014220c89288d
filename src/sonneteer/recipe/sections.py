"""What a recipe may say: one class a section, in the order of the lifecycle, each field documented beneath it.

The sentence under a field is its documentation everywhere: in `--help`, in the recipes that `sonneteer init`
writes, and in the reference page.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from sonneteer.recipe.data import BalanceSettings, CleanSettings, DataSettings, SourceSettings
from sonneteer.recipe.learning import DistillationSettings, Objective, PreferenceSettings, RewardSettings
from sonneteer.recipe.section import Section

__all__ = [
    "Architecture",
    "BalanceSettings",
    "BaseSettings",
    "CleanSettings",
    "DataSettings",
    "EvaluationSettings",
    "PromotionSettings",
    "Recipe",
    "Section",
    "ServingSettings",
    "SourceSettings",
    "TrainingSettings",
]


PrivacyAction = Literal["mask", "drop", "keep", "fail"]


class PrivacySettings(Section):
    """What becomes of personal data and secrets, type by type.

    'mask' writes the type in its place, such as [EMAIL]; 'drop' leaves the row out; 'keep' does not look for it;
    'fail' stops the preparation.
    """

    names: PrivacyAction = "keep"
    """Names of people. Only looked for if you ask: in many texts they are what the text is about."""
    addresses: PrivacyAction = "keep"
    """Street addresses and post boxes. Only looked for if you ask: many are those of shops and offices."""
    emails: PrivacyAction = "mask"
    """E-mail addresses, but not those of a role, such as support@ or info@."""
    phones: PrivacyAction = "mask"
    """Phone numbers that exist in one of the `countries`, have a country code, or are called a phone number."""
    birth_dates: PrivacyAction = "mask"
    """Dates that are called a date of birth. Other dates stay."""
    national_ids: PrivacyAction = "mask"
    """Numbers of citizens, taxpayers, passports and driving licences."""
    medical_ids: PrivacyAction = "mask"
    """Numbers of patients, medical records and health insurances."""
    cards: PrivacyAction = "mask"
    """Payment cards whose check digit is right."""
    ibans: PrivacyAction = "mask"
    """Bank accounts whose check digits are right."""
    network_addresses: PrivacyAction = "mask"
    """Public IP addresses, and hardware addresses."""
    secrets: PrivacyAction = "mask"
    """API keys, passwords, private keys, and tokens in web addresses."""
    countries: tuple[str, ...] = ("US", "GB", "CA", "AU", "IN", "DE", "FR", "ES", "IT", "NL", "PT", "PL", "BR")
    """Whose phone numbers and national numbers are looked for: two-letter codes."""
    allow: tuple[str, ...] = ()
    """Values that always stay, such as the address of your own shop."""
    also: tuple[str, ...] = ()
    """Names that are always found, whatever stands around them."""

    def of_action(self, action: PrivacyAction) -> tuple[str, ...]:
        """The types that this is done with."""
        return tuple(kind for kind in PERSONAL_KINDS if getattr(self, kind) == action)


PERSONAL_KINDS = (
    "names",
    "addresses",
    "emails",
    "phones",
    "birth_dates",
    "national_ids",
    "medical_ids",
    "cards",
    "ibans",
    "network_addresses",
    "secrets",
)
"""Types of personal data, by the names of their settings."""


class Architecture(Section):
    """A new model from scratch, instead of a pre-trained one."""

    vocabulary_size: int = Field(8192, ge=300)
    """Tokens of the byte-level BPE tokenizer that is trained on the training split."""
    hidden_size: int = Field(256, ge=16)
    """Width of the residual stream."""
    layers: int = Field(6, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(4, ge=1)
    """Query heads of each block."""
    key_value_heads: int = Field(2, ge=1)
    """Key and value heads, shared by groups of query heads."""
    feed_forward_size: int = Field(704, ge=16)
    """Width of the gated feed-forward layer."""
    context: int = Field(1024, ge=64)
    """Longest sequence in tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Architecture:
        for larger, smaller in (("hidden_size", "heads"), ("heads", "key_value_heads")):
            if getattr(self, larger) % getattr(self, smaller):
                raise ValueError(
                    f"base.from_scratch.{larger} is {getattr(self, larger)}, but must be a multiple of {smaller}, "
                    f"which is {getattr(self, smaller)}."
                )
        return self


class BaseSettings(Section):
    """The model to start from."""

    model: str = "couplet"
    """'couplet' (bundled), a local folder, or a hub id such as Qwen/Qwen3-0.6B (only then is the hub asked)."""
    from_scratch: Architecture | None = None
    """Make a new model of this architecture and use `model` only as its name."""


class TrainingSettings(Section):
    """How the model learns."""

    method: Literal["lora", "full"] = "lora"
    """'lora' trains a small adapter beside the frozen weights, 'full' trains all weights."""
    objective: Objective = "imitation"
    """What is learned: 'imitation' gives the answers as they stand (and plain text), 'dpo' and 'orpo' prefer an answer
    to a rejected one, 'kto' learns from answers that people liked or disliked, 'distillation' follows a teacher, 'grpo'
    raises the rewards of answers that the model draws itself."""
    preference: PreferenceSettings = PreferenceSettings()
    distillation: DistillationSettings = DistillationSettings()
    reward: RewardSettings = RewardSettings()
    learn_prompts: bool = False
    """Learn the questions too, and not only the answers."""
    learning_rate: float = Field(2e-4, gt=0)
    """Peak step size. Too high forgets what the base model knew; too low learns nothing."""
    epochs: float = Field(3.0, gt=0)
    """How often every training example is seen."""
    max_steps: int | None = Field(None, ge=1)
    """Stop after this many steps, whatever `epochs` says."""
    batch_size: int = Field(16, ge=1)
    """Examples in one step."""
    micro_batch_tokens: int = Field(4096, ge=16)
    """Unique tokens computed at once. Less needs less memory; the result stays the same."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the step size falls after the warm-up."""
    warmup_share: float = Field(0.05, ge=0, lt=1)
    """Share of the steps in which the step size rises."""
    final_share: float = Field(0.1, ge=0, le=1)
    """Share of the peak step size that is left at the end."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the products of matrices; weights and sums stay in float32. 'auto' takes bfloat16 where the
    processor has units for it."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """'muon' orthogonalises the steps of weight matrices: better from scratch."""
    weight_decay: float = Field(0.01, ge=0)
    """Pull of the trained weights towards zero, against overfitting."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Longer gradients are shortened to this length."""
    rank: int = Field(16, ge=1)
    """LoRA rank: the adapter's width."""
    alpha: float = Field(32.0, gt=0)
    """LoRA scale: the adapter's contribution is multiplied by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter's inputs that is dropped, against overfitting."""
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get an adapter."""
    base_weights: Literal["whole", "8bit", "4bit"] = "whole"
    """How the frozen base is kept while an adapter is trained: '4bit' (QLoRA) and '8bit' need less memory and more
    time. The result is merged into the whole base."""
    rank_stabilised: bool = False
    """Scale the adapter by alpha / sqrt(rank) instead of alpha / rank (rsLoRA): for ranks from 64 on."""
    dora: bool = False
    """Learn each weight's length apart from its direction (DoRA): better at small ranks, slower."""
    layers: str = "all"
    """Blocks that learn: 'all', 'last 4', 'first 4', or a range such as '8-15', counted from 0."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each target that is spread over all tokens, against overfitting; for imitation."""
    embedding_noise: float = Field(0.0, ge=0)
    """Noise on what is read, against overfitting (NEFTune's alpha, 5 to 15); 0 is none."""
    anchor: float = Field(0.0, ge=0)
    """Weight of the KL divergence from the starting model on the learned tokens, against forgetting; 0 is none."""
    average: float | None = Field(None, gt=0, lt=1)
    """Validate and keep a moving average of the weights; this share of it stays in a step, such as 0.99."""
    validate_every: int | None = Field(None, ge=1)
    """Steps between two validations. Without it the run is validated eight times."""
    patience: int | None = Field(3, ge=1)
    """Validations without improvement before the training stops early. `null` never stops early."""
    checkpoint_seconds: float = Field(60.0, ge=0)
    """Least time between two resumable checkpoints besides those at validations."""
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    """Where the run's figures go besides its own metrics file; all of it stays on this machine. MLflow's and
    TensorBoard's files lie in the workspace, and those of W&B wait in the run's folder for `wandb sync`."""

    @model_validator(mode="after")
    def _says_what_is_read(self) -> TrainingSettings:
        if not re.fullmatch(r"all|(first|last) [1-9]\d*|\d+-\d+", self.layers):
            raise ValueError(
                f"training.layers is '{self.layers}', but must be 'all', 'last 4', 'first 4', or a range such as "
                "'8-15', counted from 0."
            )
        if self.objective == "distillation" and self.distillation.teacher is None:
            raise ValueError("training.distillation.teacher is missing: the folder of the model to learn from.")
        if self.method == "full" and self.base_weights != "whole":
            raise ValueError(
                f"training.base_weights is '{self.base_weights}', but the method 'full' trains these weights. Write "
                "'whole', or train an adapter: method 'lora'."
            )
        if self.label_smoothing and self.objective != "imitation":
            raise ValueError(
                f"training.label_smoothing is for the objective 'imitation', and the objective is '{self.objective}'. "
                "Remove it; training.preference.label_smoothing smooths dpo."
            )
        return self


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


class JudgeSettings(Section):
    """Who says which of two answers is better."""

    by: str | None = None
    """Who judges: 'people' with `sonneteer judge`, or a model of `evaluation.externals`. `null` is nobody."""
    rubric: str = "Which answer helps the person who asks more: is it right, complete, clear and polite?"
    """What a judging model is told to look for."""
    max_pairs: int = Field(200, ge=1)
    """A judging model is asked about at most this many pairs, each twice."""


SuiteKind = Literal["retention", "stereotype"]


class SuiteSettings(Section):
    """Texts that show what the training costs elsewhere; a promotion rule of their own."""

    kind: SuiteKind
    """'retention' measures forgetting on general texts, 'stereotype' whether stereotypes are found likelier."""
    path: str = "bundled"
    """A .jsonl or .csv file with the field `text`, or with `more` and `less` (CrowS-Pairs can be read as it is)."""
    at_most: float = Field(gt=0)
    """How much worse than the base model it may be: bits per character, or share of the pairs."""


WITHOUT_EFFECT = {"checkpoint_seconds", "trackers"}
"""Settings of the training that do not change its result."""


class SearchSettings(Section):
    """How `sonneteer search` looks for better settings. `search: auto` is a range test of the learning rate alone."""

    by: Literal["trials", "auto"] = "trials"
    """'trials' trains with many settings and compares their validation losses; 'auto' finds the learning rate by a
    short range test, and a batch size and a number of epochs that suit the amount of data."""
    trials: int = Field(20, ge=1)
    """Settings to try; the recipe's own are the first."""
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"
    """Who proposes the next settings: Gaussian processes, Parzen estimators, or chance. 'auto' takes the first up to
    30 trials, and the second beyond."""
    ranges: dict[str, tuple[float, float]] = Field(default={"training.learning_rate": (2e-5, 5e-3)})
    """Settings of `training` with their lowest and highest value; on a logarithmic scale where these are ten times
    apart."""
    choices: dict[str, tuple[int | float | str, ...]] = Field(
        default={"training.batch_size": (8, 16, 32), "training.epochs": (1, 2, 3, 5), "training.rank": (8, 16, 32)}
    )
    """Settings of `training` with the values that may be chosen."""
    processes: int = Field(1, ge=1)
    """Trials that train at the same time, each in a process of its own."""
    control: bool = False
    """Also spend as many trials on settings drawn by chance, to see what the search was worth."""
    finalists: int = Field(3, ge=1)
    """Best trials that are trained again with other seeds before one is chosen."""
    seeds: int = Field(3, ge=1)
    """Trainings of each finalist. Of those within one standard error of the best, the one with the least work wins."""


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
    judge: JudgeSettings = JudgeSettings()
    """Also let a model or people judge pairs of answers, without knowing whose they are."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    resamples: int = Field(2000, ge=200)
    """Bootstrap resamples behind every interval."""


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
    slices_not_worse: float | None = Field(None, ge=0)
    """Refuse a model that lost more than this on any topic or group, by the first metric of `better_on`."""


class ServingSettings(Section):
    """How a model is put behind an API."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but this machine needs API keys."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    max_queue: int = Field(64, ge=1)
    """Requests that may wait; one more is told to come back later."""
    max_answer_tokens: int = Field(1024, ge=1)
    """Longest answer, whatever a request asks for. An answer that is cut here says so in its stop reason."""
    temperature: float = Field(0.0, ge=0, le=2)
    """How freely answers are drawn when a request does not say. 0 is what the evaluation measured."""
    stand_in_for: tuple[str, ...] = ("claude-", "gpt-")
    """Requests for other models whose names begin so are answered too, by the first model served. `[]` refuses them."""


class Recipe(Section):
    """One file that says what to build."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """Name of the data set, the runs and the model, in lower case."""
    seed: int = 0
    """Everything left to chance follows from it."""
    data: DataSettings
    privacy: PrivacySettings = PrivacySettings()
    base: BaseSettings = BaseSettings()
    training: TrainingSettings = TrainingSettings()
    search: SearchSettings = SearchSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    promotion: PromotionSettings = PromotionSettings()
    serving: ServingSettings = ServingSettings()
