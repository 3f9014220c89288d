"""Write other settings into a recipe's file, and leave its comments and its order as they are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sonneteer.errors import RecipeError
from sonneteer.recipe.read import LoadedRecipe, read_recipe
from sonneteer.recipe.sections import Recipe
from sonneteer.recipe.settings import SETTINGS


def rewrite(loaded: LoadedRecipe, recipe: Recipe, target: Path) -> Path:
    """Write `loaded`'s file to `target` so that it reads as `recipe`. Raises RecipeError where it cannot."""
    source = loaded.path
    changes = _changes(read_recipe(source).recipe.model_dump(), recipe.model_dump())
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(source.read_text(encoding="utf-8-sig"))
    for name, value in changes.items():
        _put(document, name.split("."), value)
    text = io.StringIO()
    yaml.dump(document, text)
    partial = target.with_name(f".{target.name}.partial.yaml")
    partial.write_text(text.getvalue(), encoding="utf-8")
    try:
        _check(partial, recipe, changes)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def beside(loaded: LoadedRecipe, in_place: bool) -> Path:
    """Where better settings go: over the recipe, or beside it as in `recipe.best.yaml`."""
    return loaded.path if in_place else loaded.path.with_suffix(".best.yaml")


def _check(path: Path, recipe: Recipe, changes: Mapping[str, Any]) -> None:
    try:
        if read_recipe(path).recipe == recipe:
            return
    except RecipeError:
        pass  # such as another tool's name for the same setting, which says something else
    lines = "\n".join(f"  {name}: {value}" for name, value in changes.items())
    raise RecipeError(f"The recipe says some of these settings under other names. Write them in by hand:\n{lines}")


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in after.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(before.get(key), dict) and SETTINGS[name].is_section:
            found |= _changes(before[key], value, f"{name}.")
        elif before.get(key) != value:
            found[name] = value
    return found


def _put(document: Any, keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(document.get(key), dict):
            document[key] = {}
        document = document[key]
    document[keys[-1]] = list(value) if isinstance(value, tuple) else value
