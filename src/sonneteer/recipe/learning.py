"""What a recipe may say of its objective: one class for each family that needs settings of its own."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from sonneteer.recipe.section import Section

Objective = Literal["imitation", "dpo", "orpo", "kto", "distillation", "grpo"]
COMPARING: tuple[Objective, ...] = ("dpo", "orpo")
"""Objectives that learn from an answer and a worse one to the same question."""


class PreferenceSettings(Section):
    """How preferences are learned, for the objectives dpo, orpo and kto."""

    loss: Literal["sigmoid", "ipo", "simpo"] = "sigmoid"
    """Form of dpo's loss: 'sigmoid' is DPO itself, 'ipo' does not drive certain pairs ever further apart, 'simpo' does
    without the starting model."""
    beta: float = Field(0.1, gt=0)
    """How firmly dpo and kto hold on to the starting model, and how much orpo weighs the comparison. Use 2 for
    'simpo'."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the pairs that may be labelled the wrong way round; for dpo's 'sigmoid'."""
    margin: float = Field(1.0, ge=0)
    """By how much the better answer has to win, for 'simpo'."""
    liked_weight: float = Field(1.0, gt=0)
    """Weight of the answers that people liked, for kto."""
    disliked_weight: float = Field(1.0, gt=0)
    """Weight of the answers that people disliked, for kto. Both kinds together should weigh about the same."""

    @model_validator(mode="after")
    def _smooths_what_can_be_smoothed(self) -> PreferenceSettings:
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError(
                f"training.preference.label_smoothing is for the loss 'sigmoid' only, and the loss is '{self.loss}'. "
                "Remove it, or change the loss."
            )
        return self


class DistillationSettings(Section):
    """How a teacher is followed, for the objective distillation."""

    teacher: str | None = None
    """The teacher: a local folder with a model that has the base model's tokenizer."""
    share: float = Field(0.9, gt=0, le=1)
    """Share of the teacher's opinion in what is learned; the rest imitates the answers."""
    temperature: float = Field(1.0, gt=0)
    """Above 1 the teacher's less likely choices count for more."""


class RewardSettings(Section):
    """What answers are rewarded for, and how they are drawn, for the objective grpo."""

    kind: Literal["exact_match", "regular_expression", "json_schema", "numeric", "python"] = "exact_match"
    """Rewarded with 1: the reference to the letter, a text that holds `pattern`, a JSON text that fits `json_schema`,
    the reference's last number; or whatever a function says that is given through Python."""
    pattern: str | None = None
    """Regular expression that a good answer holds, for 'regular_expression'."""
    json_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON schema that a good answer fits, for 'json_schema'."""
    tolerance: float = Field(1e-6, ge=0)
    """Relative difference up to which numbers count as equal, for 'numeric'."""
    answers: int = Field(8, ge=2)
    """Answers that are drawn for each question, and compared with one another."""
    temperature: float = Field(1.0, gt=0, le=2)
    """How freely they are drawn."""
    max_answer_tokens: int = Field(128, ge=1)
    """Longest answer that is drawn."""

    @model_validator(mode="after")
    def _has_what_it_compares_with(self) -> RewardSettings:
        if self.kind == "regular_expression":
            if self.pattern is None:
                raise ValueError("training.reward.pattern is missing: the expression that a good answer holds.")
            try:
                re.compile(self.pattern)
            except re.error as problem:
                raise ValueError(f"training.reward.pattern is no regular expression: {problem}.") from problem
        if self.kind == "json_schema" and not self.json_schema:
            raise ValueError("training.reward.json_schema is missing: the schema that a good answer fits.")
        return self
