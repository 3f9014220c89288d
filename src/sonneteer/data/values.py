"""A source row and its values: taken for what they must be, or refused by kind and never by content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sonneteer.errors import DataError

Fields = Mapping[str, Any]
DEEPEST = 50


class RawRow(NamedTuple):
    """One source row: its number, and its fields or the reason why it cannot be read."""

    number: int
    fields: Fields | None
    problem: str = ""


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object with named fields"
    return type(value).__name__


def is_given(value: Any) -> bool:
    """Whether a value says anything: not nothing, and not empty."""
    return value is not None and value not in ("", [], {}, ())


def as_fields(value: Any, what: str) -> Fields:
    """An object with named fields. Text that holds one as JSON will do: tables have no objects."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = as_json(value, what)
    if not isinstance(value, Mapping):
        raise DataError(f"{what} must be an object with named fields, not {kind_of(value)}")
    if depth_of(value) > DEEPEST:
        raise DataError(f"{what} is nested more than {DEEPEST} deep")
    return value


def as_list(value: Any, what: str, may_lack: bool = False) -> list[Any]:
    """A list. Text that holds one as JSON will do."""
    if may_lack and not is_given(value):
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = as_json(value, what)
    if not isinstance(value, list | tuple):
        raise DataError(f"{what} must be a list, not {kind_of(value)}")
    return list(value)


def as_text(value: Any, what: str) -> str:
    """Text that says something."""
    if not isinstance(value, str):
        raise DataError(f"{what} must be text, not {kind_of(value)}")
    if not value.strip():
        raise DataError(f"{what} is empty")
    return value


def as_name(value: Any) -> str | None:
    """An identifier: text, or a number taken as text."""
    if not is_given(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"an id must be text, not {kind_of(value)}")
    return str(value)


def as_json(text: str, what: str) -> Any:
    """What a JSON text stands for."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_once)
    except ValueError as problem:
        raise DataError(f"{what} cannot be read as JSON: {json_problem(problem)}") from problem
    except RecursionError as problem:
        raise DataError(f"{what} cannot be read as JSON: it is nested too deeply") from problem


def json_problem(problem: ValueError) -> str:
    """What the JSON reader says, without the text that it stumbled over."""
    if isinstance(problem, json.JSONDecodeError):
        line = f"line {problem.lineno}, " if problem.lineno > 1 else ""
        return f"{problem.msg} ({line}column {problem.colno})"
    return str(problem)


def depth_of(value: Any) -> int:
    """How many objects and lists lie within each other."""
    deepest, layer = 0, [value]
    while layer:
        inner = [part for part in layer if isinstance(part, Mapping | list | tuple)]
        layer = [part for outer in inner for part in (outer.values() if isinstance(outer, Mapping) else outer)]
        deepest += bool(inner)
    return deepest


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands twice in one object")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
