"""From a recipe to its objective."""

from __future__ import annotations

from sonneteer.recipe.sections import TrainingSettings
from sonneteer.training.objectives.imitation import Imitation
from sonneteer.training.objectives.preference import Dpo, Orpo
from sonneteer.training.objectives.seam import Objective
from sonneteer.training.objectives.unpaired import Kto


def objective_of(settings: TrainingSettings) -> Objective:
    """The objective that the recipe names."""
    match settings.objective:
        case "dpo":
            return Dpo(settings.preference)
        case "orpo":
            return Orpo(settings.preference)
        case "kto":
            return Kto(settings.preference, settings.micro_batch_tokens)
        case "imitation":
            return Imitation(settings.label_smoothing)
