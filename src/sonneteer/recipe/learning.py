"""What a recipe may say of its objective: one class for each family that needs settings of its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sonneteer.recipe.section import Section

Objective = Literal["imitation", "dpo", "orpo", "kto"]
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
