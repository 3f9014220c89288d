"""What a training will take here, known before any weights are opened; what cannot fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from sonneteer.errors import ModelError
from sonneteer.models.adapters import add_adapter
from sonneteer.models.hardware import available_gb
from sonneteer.models.layers import thaw
from sonneteer.models.load import device, empty_network
from sonneteer.models.places import locate
from sonneteer.models.render import TemplateRenderer
from sonneteer.models.vocabulary import Vocabulary
from sonneteer.profile import free_disk_gb, machine
from sonneteer.recipe.sections import Recipe
from sonneteer.records import Run
from sonneteer.store import Store
from sonneteer.training.draft import Draft, Networks, draft
from sonneteer.training.lessons import Material
from sonneteer.training.plan import Plan, Surroundings, estimate


class Beginning(NamedTuple):
    """What a training begins with, as far as it is known without weights."""

    renderer: TemplateRenderer
    network: PreTrainedModel
    """Without weights."""
    vocabulary: Vocabulary | None = None
    """The new tokens that the model gets."""


class Foresight(NamedTuple):
    """What the formula says, and what it means on this machine."""

    draft: Draft
    plan: Plan

    @property
    def memory_gb(self) -> float:
        """The formula's memory, for the run's record."""
        return self.draft.memory_gb(self.plan.recomputes)

    @property
    def tflop_per_step(self) -> float:
        """The formula's work of a step, in 10^12 operations."""
        return self.draft.work(self.plan.recomputes) / self.draft.tokens.steps


def foresee(recipe: Recipe, folder: Path, beginning: Beginning, material: Material, around: Surroundings) -> Foresight:
    """The plan of a training. `folder` is the recipe's. Makes the beginning's network into the one that learns."""
    network = beginning.network
    if recipe.training.method == "lora":
        new_ids = tuple(beginning.vocabulary.pieces) if beginning.vocabulary else ()
        add_adapter(network, recipe.training, recipe.seed, new_ids)
    else:
        thaw(network, recipe.training.layers)
    drafted = draft(Networks(network, _empty_teacher(recipe, folder), around.device), recipe, material)
    return Foresight(drafted, estimate(drafted, recipe, around))


def surroundings(store: Store, own: Path | None = None, processes: int = 1) -> Surroundings:
    """What the machine has for each of so many trainings at once. What lies in `own`, the run's folder, is not needed
    again."""
    place = device()
    return Surroundings(
        machine=machine(),
        available_gb=available_gb(place) / processes,
        free_disk_gb=free_disk_gb(store.root) + (_taken_gb(own) if own else 0.0),
        past=store.find(Run, status="done"),
        device=place,
    )


def _empty_teacher(recipe: Recipe, folder: Path) -> PreTrainedModel | None:
    teacher = recipe.training.distillation.teacher
    if recipe.training.objective != "distillation" or teacher is None:
        return None
    try:
        return empty_network(teacher, locate(teacher, folder))
    except ModelError as problem:
        raise ModelError(str(problem).replace("base.model", "training.distillation.teacher")) from problem


def _taken_gb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
