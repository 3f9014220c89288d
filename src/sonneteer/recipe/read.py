"""Read a recipe: the file, the settings of the command line over it, and all problems at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from sonneteer.errors import RecipeError
from sonneteer.recipe.aliases import Said, Sorted, sort_out
from sonneteer.recipe.document import Node, Place, parse, shown
from sonneteer.recipe.peers import ACCUMULATION, EXAMPLES_AT_ONCE, SCALE
from sonneteer.recipe.problems import in_order, in_words
from sonneteer.recipe.sections import Recipe
from sonneteer.recipe.settings import SETTINGS
from sonneteer.records import Example

COMMAND_LINE = "command line"
INSTEAD = {
    "training.batch_size": (EXAMPLES_AT_ONCE, ACCUMULATION),
    EXAMPLES_AT_ONCE: ("training.batch_size",),
    "training.alpha": (SCALE,),
    SCALE: ("training.alpha",),
}
"""What the command line says in one way replaces what the file says in another."""


class LoadedRecipe(NamedTuple):
    """A recipe, the folder that its paths are relative to, and how other tools' names were understood."""

    recipe: Recipe
    folder: Path
    notes: list[str]
    path: Path = Path("recipe.yaml")
    """As it was named: what to write in the next command."""
    reward: Callable[[Example, str], float] | None = None
    """What an answer is worth, for `training.reward.kind: python`: given through Python, with `_replace`."""


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe's file, or the `recipe.yaml` of a folder.

    `overrides` are words of a command line: `--training.learning_rate 1e-4`, or joined by `=`. Raises RecipeError with
    all problems at once.
    """
    path = path / "recipe.yaml" if path.is_dir() else path
    file = parse(_read(path), path.name)
    if file.value is None:
        raise RecipeError(f"{path}: the recipe is empty. `sonneteer init support` writes one to begin with.")
    if not isinstance(file.value, dict):
        raise RecipeError(f"{path}: a recipe is made of lines such as 'name: support', and not of {_kind(file.value)}.")
    in_file, in_command = Sorted(), Sorted()
    sort_out(file, in_file)
    for override in parse_overrides(overrides, in_command.problems):
        sort_out(override, in_command)
    problems = in_file.problems + in_command.problems
    said = _lay_over(_unite(in_file.said, problems), _last(in_command.said, problems))
    notes = in_file.notes + in_command.notes
    _combine(said, notes, problems)
    values = _nested(said, in_file.sections + in_command.sections)
    try:
        # Strict JSON rules: a list will do for a tuple and 1 for 1.0, but 'no' is no truth value and true no number.
        recipe = Recipe.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        garbled = in_file.garbled | in_command.garbled
        raise RecipeError(in_order(problems + in_words(error, values, said, Place(path.name), garbled))) from None
    if problems:
        raise RecipeError(in_order(problems))
    return LoadedRecipe(recipe, path.parent.absolute(), notes, path)


def parse_overrides(words: Sequence[str], problems: list[str]) -> list[Node]:
    """Settings of a command line, each as a document of its own. Values are YAML. Adds to `problems`."""
    nodes, waiting = [], list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or len(word) == 2:
            problems.append(
                f"{COMMAND_LINE}: '{word}' is no setting. Settings look like --training.learning_rate 1e-4."
            )
            continue
        name, joined, text = word[2:].partition("=")
        if not joined and not waiting:
            problems.append(f"{COMMAND_LINE}: --{name} lacks a value, such as --{name} 1.")
            continue
        try:
            value = parse(text if joined else waiting.pop(0), f"{COMMAND_LINE}, --{name}", has_lines=False)
        except RecipeError as problem:
            problems += problem.problems
            continue
        nodes.append(_below(name.replace("-", "_").split("."), value))
    return nodes


def _below(keys: Sequence[str], node: Node) -> Node:
    """The document in which `node` stands under these keys, with everything written on the command line."""
    place = Place(COMMAND_LINE)
    node = Node(node.value, place, node.parts)
    for key in reversed(keys):
        node = Node({key: node.value}, place, {key: node})
    return node


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as problem:
        raise RecipeError(
            f"There is no recipe {path}. Name an existing one, or write one: sonneteer init support"
        ) from problem
    except UnicodeDecodeError as problem:
        raise RecipeError(f"{path}: byte {problem.start + 1} is not UTF-8. Save the recipe as UTF-8 text.") from problem
    except OSError as problem:
        raise RecipeError(f"{path}: the recipe cannot be read: {problem.strerror}.") from problem


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a single value"


# Several names, one setting ---------------------------------------------------------------------


def _unite(said: Iterable[Said], problems: list[str]) -> dict[str, Said]:
    """One word for each setting. Two names for one setting must agree."""
    united: dict[str, Said] = {}
    for one in said:
        first = united.setdefault(one.target, one)
        if _meant(first) != _meant(one):
            problems.append(
                f"{one.node.place}: {one.written} says {shown(one.node.value)}, but {first.written} "
                f"({first.node.place}) says {shown(first.node.value)}, and both mean {one.target}. Remove one of them."
            )
    return united


def _last(said: Iterable[Said], problems: list[str]) -> dict[str, Said]:
    """On a command line the last word counts, but two different names must agree."""
    by_name = {one.written: one for one in said}
    return _unite(by_name.values(), problems)


def _meant(one: Said) -> Any:
    return _sources(one.value) if one.target == "data.sources" else one.value


def _lay_over(below: dict[str, Said], above: dict[str, Said]) -> dict[str, Said]:
    """What the command line says counts. Emptying a section forgets what the file says in it."""
    forgotten = {name for said, names in INSTEAD.items() if said in above for name in names}
    emptied = tuple(f"{name}." for name, one in above.items() if one.value is None and _is_section(name))
    return {name: one for name, one in below.items() if name not in forgotten and not name.startswith(emptied)} | above


def _is_section(name: str) -> bool:
    return name in SETTINGS and SETTINGS[name].is_section


def _combine(said: dict[str, Said], notes: list[str], problems: list[str]) -> None:
    """Make one setting of two numbers: the batch of a step, and mlx-lm's scale, which is alpha / rank."""
    at_once, accumulated, scale = (said.pop(name, None) for name in (EXAMPLES_AT_ONCE, ACCUMULATION, SCALE))
    parts = [one for one in (at_once, accumulated) if one and _is_count(one, problems)]
    if accumulated and not at_once and accumulated.value != 1:
        problems.append(
            f"{accumulated.node.place}: {accumulated.written} is one of two factors. Say training.batch_size instead: "
            "how many examples a step learns from."
        )
    elif parts:
        product = parts[0].value * (parts[1].value if len(parts) == 2 else 1)
        if at_once:
            _add(said, "training.batch_size", product, parts, notes, problems)
    if scale and isinstance(scale.value, (int, float)):
        rank = said["training.rank"].value if "training.rank" in said else SETTINGS["training.rank"].default
        if isinstance(rank, int):
            _add(said, "training.alpha", scale.value * rank, [scale], notes, problems)


def _add(
    said: dict[str, Said], target: str, value: Any, parts: Sequence[Said], notes: list[str], problems: list[str]
) -> None:
    written = " x ".join(f"{part.written} {part.value}" for part in parts)
    one = Said(target, value, written, Node(value, parts[0].node.place), parts[0].tool)
    notes.append(f"{written} ({one.tool}) -> {target}: {value}")
    said[target] = _unite([said.get(target, one), one], problems)[target]


def _is_count(one: Said, problems: list[str]) -> bool:
    if isinstance(one.value, int) and not isinstance(one.value, bool) and one.value > 0:
        return True
    problems.append(f"{one.node.place}: {one.written} is {shown(one.value)}, but must be a whole number from 1.")
    return False


# From words to the record -----------------------------------------------------------------------


def _nested(said: dict[str, Said], sections: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {"data": {}}  # so that a missing `data.sources` is what is missing
    for name in sections:
        _put(values, name.split("."), {}) if name != "data" else None
    for name, one in said.items():
        value = _sources(one.value) if name == "data.sources" else one.value
        if value is not None or not _is_section(name):  # an empty section keeps its defaults
            _put(values, name.split("."), _whole(value))
    return values


def _put(values: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value


def _sources(value: Any) -> Any:
    """A path, a list of paths and a list of mappings all say which files to read."""
    entries = value if isinstance(value, list) else [value] if isinstance(value, (str, dict)) else None
    return value if entries is None else [{"path": one} if isinstance(one, str) else one for one in entries]


def _whole(value: Any) -> Any:
    """1e3 is a whole number too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
