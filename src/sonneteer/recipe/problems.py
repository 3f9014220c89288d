"""Put what is wrong with a setting into words: where, with which value, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sonneteer.recipe.aliases import Said, nearest, no_such_setting
from sonneteer.recipe.document import Key, Place, shown
from sonneteer.recipe.sections import SourceSettings
from sonneteer.recipe.settings import SETTINGS

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "pairs of a name and a value",
    "model_type": "settings below it, indented",
    "model_attributes_type": "settings below it, indented",
    "string_pattern_mismatch": "lower-case letters, digits, '-' and '_', at most 63, the first a letter or a digit",
}
BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
YES_AND_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def in_order(problems: Sequence[str]) -> list[str]:
    """Problems in the order of the file's lines, those without a line last."""

    def line(problem: str) -> float:
        found = re.match(r"[^:]*, line (\d+)", problem)
        return int(found[1]) if found else float("inf")

    return sorted(problems, key=line)


def in_words(
    error: ValidationError,
    values: Mapping[str, Any],
    said: Mapping[str, Said],
    recipe: Place,
    garbled: Set[str] = frozenset(),
) -> list[str]:
    """One sentence for each setting that is wrong.

    `said` tells where a setting was written; `garbled` are settings whose problem has been told.
    """
    groups: dict[str, list[ErrorDetails]] = {}
    paths: dict[str, list[Key]] = {}
    for details in error.errors():
        path = _path(details, values)
        if len(path) < len(details["loc"]):  # a setting of several types has one error for each: they make one sentence
            path = _up_to_setting(path)
        name = _name(path)
        groups.setdefault(name, []).append(details)
        paths.setdefault(name, path)
    return [
        f"{_place(paths[name], said, recipe)}: {_sentence(name, group, _dig(values, paths[name]))}"
        for name, group in groups.items()
        if name not in garbled
    ]


def _up_to_setting(path: list[Key]) -> list[Key]:
    return next((path[:length] for length in range(len(path), 0, -1) if _name(path[:length]) in SETTINGS), path)


def _path(details: ErrorDetails, values: Any) -> list[Key]:
    """Where in `values` the error lies, without pydantic's names for the choices of a type."""
    path: list[Key] = []
    for key in details["loc"]:
        if isinstance(values, Mapping) and (key in values or details["type"] == "missing"):
            path.append(key)
            values = values.get(str(key))
        elif isinstance(values, list) and isinstance(key, int):
            path.append(key)
            values = values[key]
    return path


def _dig(values: Any, path: Sequence[Key]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else values[int(key)]
    return values


def _name(path: Sequence[Key]) -> str:
    return re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, path)))


def _place(path: Sequence[Key], said: Mapping[str, Said], recipe: Place) -> Place:
    for length in range(len(path), 0, -1):
        if one := said.get(".".join(map(str, path[:length]))):
            return one.place_of(path[length:])
    inside = [one for name, one in said.items() if path and name.startswith(f"{path[0]}.")]
    return inside[0].node.place if inside else recipe


def _sentence(name: str, group: Sequence[ErrorDetails], value: Any) -> str:
    details = group[0]
    kind = details["type"]
    if kind == "missing":
        doc = (
            SETTINGS[name].doc if name in SETTINGS else SourceSettings.model_fields[name.rpartition(".")[2]].description
        )
        return f"{name} is missing. {doc}"
    if kind == "extra_forbidden":
        return _unknown(name)
    if kind == "value_error":
        return str(details["ctx"]["error"])
    expected = " or ".join(dict.fromkeys(_expected(one) for one in group))
    return f"{name} is {shown(value)}, but must be {expected}.{_advice(details, value)}"


def _unknown(name: str) -> str:
    if name.startswith("data.sources["):
        key = name.rpartition(".")[2]
        keys = list(SourceSettings.model_fields)
        near = nearest(key, keys)
        return f"{name}: no such setting. " + (
            f"Did you mean '{near}'?" if near else f"A source has: {', '.join(keys)}."
        )
    return no_such_setting(name)


def _expected(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "string_type" and any("tuple" in str(key) for key in details["loc"]):
        return "a list of texts"
    return EXPECTED.get(kind, details["msg"][:1].lower() + details["msg"][1:])


def _advice(details: ErrorDetails, value: Any) -> str:
    kind = details["type"]
    if kind == "bool_type" and str(value).lower() in YES_AND_NO:
        return f" Write {YES_AND_NO[str(value).lower()]}."
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f" Put it in quotes: '{str(value).lower()}'."
    if kind in ("int_type", "float_type") and isinstance(value, str) and re.fullmatch(r"[-+.\deE]+", value):
        return " Remove the quotes."
    if kind == "string_pattern_mismatch" and (slug := re.sub(r"[^a-z0-9_]+", "-", str(value).lower()).strip("-_")):
        return f" For example '{slug[:63]}'."
    if kind == "literal_error" and isinstance(value, str):
        near = nearest(value, re.findall(r"'([^']+)'", str(details["ctx"]["expected"])))
        return f" Did you mean '{near}'?" if near else ""
    return ""
