"""What training minimises: one small value for each way to learn."""

from sonneteer.training.objectives.choose import objective_of
from sonneteer.training.objectives.distillation import Distillation
from sonneteer.training.objectives.imitation import Imitation
from sonneteer.training.objectives.preference import Dpo, Orpo
from sonneteer.training.objectives.reinforcement import Grpo
from sonneteer.training.objectives.seam import Objective
from sonneteer.training.objectives.unpaired import Kto

__all__ = ["Distillation", "Dpo", "Grpo", "Imitation", "Kto", "Objective", "Orpo", "objective_of"]
