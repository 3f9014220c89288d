"""What to build, in one YAML file: read it, check it, write one to begin with."""

from __future__ import annotations

from sonneteer.recipe.read import LoadedRecipe, read_recipe
from sonneteer.recipe.sections import Recipe
from sonneteer.recipe.write import KINDS, write_recipe

__all__ = ["KINDS", "LoadedRecipe", "Recipe", "read_recipe", "write_recipe"]
