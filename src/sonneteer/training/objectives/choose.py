"""From a recipe to its objective."""

from __future__ import annotations

from pathlib import Path

from sonneteer.models.load import LanguageModel
from sonneteer.recipe.sections import Recipe
from sonneteer.training.objectives.distillation import Distillation, open_teacher
from sonneteer.training.objectives.imitation import Imitation
from sonneteer.training.objectives.preference import Dpo, Orpo
from sonneteer.training.objectives.reinforcement import Grpo
from sonneteer.training.objectives.seam import Objective
from sonneteer.training.objectives.unpaired import Kto
from sonneteer.training.rewards import Reward, reward_of


def objective_of(recipe: Recipe, model: LanguageModel, folder: Path, reward: Reward | None = None) -> Objective:
    """The objective that the recipe names, for a model. `folder` is the recipe's.

    Raises RecipeError where it lacks what it needs: a teacher of the same family, or a reward.
    """
    settings = recipe.training
    match settings.objective:
        case "dpo":
            return Dpo(settings.preference)
        case "orpo":
            return Orpo(settings.preference)
        case "kto":
            return Kto(settings.preference, settings.micro_batch_tokens)
        case "distillation":
            return Distillation(open_teacher(settings.distillation, model, folder), settings.distillation)
        case "grpo":
            judge = reward_of(settings.reward, reward)
            return Grpo(model, judge, settings.reward, recipe.seed, recipe.evaluation.batch_size)
        case "imitation":
            return Imitation(settings.label_smoothing)
