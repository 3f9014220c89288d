"""The recipe's section `training.privacy`: training that hides single examples or people."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sonneteer.recipe.section import Section


class PrivateTrainingSettings(Section):
    """Differentially private training (DP-SGD): the model may hardly depend on any single example, or person."""

    epsilon: float | None = Field(None, gt=0)
    """How much it may depend on one at most: 8 is weak, 1 is strong, and the smaller it is the less is learned. `null`
    trains without a promise."""
    delta: float | None = Field(None, gt=0, lt=1)
    """Chance that the promise fails. Without it, a tenth of one divided by the number of examples or people."""
    unit: Literal["example", "person"] = "example"
    """What is hidden: single examples, or all that carry the same tag `person`. A secret in several examples is only
    hidden as a whole if they are one unit."""
