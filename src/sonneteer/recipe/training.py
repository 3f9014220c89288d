"""Section `training`: how the model learns."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from sonneteer.recipe.learning import DistillationSettings, Objective, PreferenceSettings, RewardSettings
from sonneteer.recipe.private import PrivateTrainingSettings
from sonneteer.recipe.section import Section


class TrainingSettings(Section):
    """How the model learns."""

    method: Literal["lora", "full"] = "lora"
    """'lora' trains a small adapter beside the frozen weights, 'full' trains all weights."""
    objective: Objective = "imitation"
    """What is learned: 'imitation' gives the answers as they stand (and plain text), 'dpo' and 'orpo' prefer an answer
    to a rejected one, 'kto' learns from answers that people liked or disliked, 'distillation' follows a teacher, 'grpo'
    raises the rewards of answers that the model draws itself."""
    preference: PreferenceSettings = PreferenceSettings()
    privacy: PrivateTrainingSettings = PrivateTrainingSettings()
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
    prefix_group: int = Field(1, ge=1)
    """At most so many examples that begin alike come into a batch together: less is computed, and batches are less
    varied. 1 leaves it to chance; `sonneteer plan` says what half of `batch_size` would gain."""
    micro_batch_tokens: int = Field(3072, ge=16)
    """Unique tokens computed at once. Less needs less memory; the result stays the same."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the step size falls after the warm-up."""
    warmup_share: float = Field(0.05, ge=0, lt=1)
    """Share of the steps in which the step size rises."""
    final_share: float = Field(0.1, ge=0, le=1)
    """Share of the peak step size that is left at the end."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute what a block keeps for the backward pass once more instead: far less memory, a third more time, the same
    result. 'auto' does so where the plan says that memory may not suffice otherwise."""
    start_anyway: bool = False
    """Start even where the plan says that memory or disk cannot suffice."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the products of matrices; weights and sums stay in float32. 'auto' takes bfloat16 where the
    processor has units for it."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """'muon' orthogonalises the steps of weight matrices: better from scratch."""
    weight_decay: float = Field(0.01, ge=0)
    """Pull of the trained weights towards zero, against overfitting."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Longer gradients are shortened to this length: those of steps, or with `privacy` those of single examples."""
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
    time. The result is merged into the weights that these bits stand for, which is what was learned."""
    rank_stabilised: bool = False
    """Scale the adapter by alpha / sqrt(rank) instead of alpha / rank (rsLoRA): for ranks from 64 on."""
    dora: bool = False
    """Learn each weight's length apart from its direction (DoRA): better at small ranks, slower."""
    layers: str = "all"
    """Blocks that learn: 'all', 'last 4', 'first 4', or a range such as '8-15', counted from 0."""
    trunk_cache_gb: float = Field(4.0, ge=0)
    """Where only upper `layers` learn: disk for what the blocks below make of the data, which is then computed once and
    not in each epoch. 0, or more data than that, computes it again."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each target that is spread over all tokens, against overfitting; for imitation."""
    embedding_noise: float = Field(0.0, ge=0)
    """Noise on what is read, against overfitting (NEFTune's alpha, 5 to 15); 0 is none."""
    anchor: float = Field(0.0, ge=0)
    """Weight of the KL divergence from the starting model on the learned tokens, against forgetting; 0 is none."""
    replay_share: float = Field(0.0, ge=0, lt=1)
    """Share of each epoch that is general data, against forgetting: the sources of `data` with `split: replay`."""
    average: float | None = Field(None, gt=0, lt=1)
    """Validate and keep a moving average of the weights; this share of it stays in a step, such as 0.99."""
    averaged_checkpoints: int = Field(1, ge=1)
    """Also try the mean of the weights at so many validations, and keep it where it validates better than the best of
    them; 1 does not."""
    averaged: Literal["best", "last"] = "best"
    """Whose weights are averaged: those of the best validations, or of the last ones."""
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
        if self.privacy.epsilon is not None:
            self._refuse_what_is_not_private()
        return self

    def _refuse_what_is_not_private(self) -> None:
        """What lets one example touch another's gradient, or the choice of the batch."""
        wrong = {
            f"training.objective is '{self.objective}', whose loss of an example": self.objective in ("kto", "grpo"),
            f"training.prefix_group is {self.prefix_group}, whose choice of a batch": self.prefix_group > 1,
            f"training.replay_share is {self.replay_share:g}, whose choice of a batch": self.replay_share > 0,
        }
        said = [f"{what} depends on other examples" for what, is_so in wrong.items() if is_so]
        if said:
            raise ValueError(f"{'; '.join(said)}: that cannot be trained with training.privacy. Remove one of the two.")


WITHOUT_EFFECT = {"checkpoint_seconds", "trackers", "gradient_checkpointing", "start_anyway"}
"""Settings of the training that do not change its result."""
