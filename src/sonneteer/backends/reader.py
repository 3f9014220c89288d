"""How a recipe's base model reads, for the data room. A data set that is known already needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sonneteer.models.places import fingerprint_of_folder, locate
from sonneteer.recipe.sections import Recipe
from sonneteer.records import Example, Renderer, fingerprint_of


class BaseReader(NamedTuple):
    """The base model's template and tokenizer. `folder` is the recipe's, for relative paths."""

    recipe: Recipe
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Of the base model's files, or of the plan for a new one; of its teacher; and of how it reads."""
        return fingerprint_of_base(self.recipe, self.folder)

    def renderer(self, examples: Sequence[Example]) -> Renderer:
        """How it reads. A model from scratch makes its tokenizer from the examples."""
        from sonneteer.backends.starting import Starting  # loads PyTorch, which takes seconds

        return Starting(self.recipe, self.folder).renderer_of_base(examples)


def fingerprint_of_base(recipe: Recipe, folder: Path) -> str:
    """Of all that decides how the recipe's training begins, but for the data and the settings of the training."""
    architecture = recipe.base.from_scratch
    if architecture is None:
        base = fingerprint_of_folder(locate(recipe.base.model, folder))
    else:
        base = fingerprint_of(architecture.model_dump(mode="json"))
    teacher = recipe.training.distillation.teacher
    guide = None if teacher is None else fingerprint_of_folder(locate(teacher, folder))
    return fingerprint_of([base, recipe.training.learn_prompts, guide])
