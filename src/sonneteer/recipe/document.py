"""A YAML 1.2 file as plain values that know where they were written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from sonneteer.errors import RecipeError

LONGEST_SHOWN = 60  # characters of a text in a sentence

Key = str | int
Scalar = str | int | float | bool | None


class Place(NamedTuple):
    """Where something was written."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class Node:
    """A plain value, the place it was written at, and the nodes of its parts."""

    value: Any
    place: Place
    parts: dict[Key, Node] = field(default_factory=dict)

    def place_of(self, path: Sequence[Key]) -> Place:
        """Where the part under `path` was written, or the nearest part above it."""
        if path and path[0] in self.parts:
            return self.parts[path[0]].place_of(path[1:])
        return self.place


# YAML 1.2's core schema (section 10.3.2): what a word without quotes stands for. `no` and dates stay words.
CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], Scalar]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: float("nan")),
)

HINTS = {
    "mapping values are not allowed": "A ':' stands where no setting can begin. Is the line indented differently from "
    "its neighbours, or does a text that holds ': ' lack quotes?",
    "could not find expected ':'": "A ':' is missing after the setting's name.",
    "found character '\\t'": "There is a tab. Indent with spaces.",
    "cannot start any token": "A text that begins with @, % or a backquote needs quotes.",
    "expected <block end>": "The indentation does not fit the lines above.",
    "did not find expected ',' or ']'": "A list in brackets is not closed with ']'.",
    "expected ',' or ']'": "A list in brackets is not closed with ']'.",
    "expected ',' or '}'": "A '{' is not closed with '}'.",
    "found unexpected end of stream": "A quote is opened and never closed.",
    "found undefined alias": "A '*' refers to a name that no '&' gives. Put a text that begins with '*' in quotes.",
    "expected a single document": "There is a second document after '---'. A recipe is one document.",
}


def parse(text: str, file: str, has_lines: bool = True) -> Node:
    """Read one YAML document. Raises RecipeError with line and column, all problems of the structure at once."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as problem:
        raise RecipeError(_in_words(problem, file, has_lines)) from problem
    except ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise RecipeError(
            f"{file}, line {line}: holds a character that no text file should have. Remove it."
        ) from problem
    reader = _Reader(file, has_lines)
    node = reader.read(root) if root is not None else Node(None, Place(file))
    if reader.problems:
        raise RecipeError(reader.problems)
    return node


class _Reader:
    """Turns ruamel's nodes into ours, and gathers what cannot be turned."""

    def __init__(self, file: str, has_lines: bool) -> None:
        self.problems: list[str] = []
        self._file = file
        self._has_lines = has_lines
        self._done: dict[int, Node] = {}
        self._under_way: set[int] = set()

    def read(self, node: Any, key: Any = None) -> Node:
        """Our node for ruamel's. An anchor that is used twice is read once."""
        place = self._place(key or node)
        if id(node) in self._under_way:
            self.problems.append(f"{place}: this part of the recipe contains itself.")
            return Node(None, place)
        if id(node) not in self._done:
            self._under_way.add(id(node))
            self._done[id(node)] = self._read_new(node, place)
            self._under_way.remove(id(node))
        done = self._done[id(node)]
        return Node(done.value, place, done.parts)

    def _read_new(self, node: Any, place: Place) -> Node:
        if not str(node.tag).startswith("tag:yaml.org,2002:") or "python" in str(node.tag):
            self.problems.append(f"{place}: '{node.tag}' is a YAML tag; a recipe has none. Remove it.")
        if isinstance(node, MappingNode):
            parts = self._read_mapping(node)
            return Node({key: part.value for key, part in parts.items()}, place, parts)
        if isinstance(node, SequenceNode):
            items: dict[Key, Node] = {number: self.read(item) for number, item in enumerate(node.value)}
            return Node([item.value for item in items.values()], place, items)
        return Node(_scalar(node), place)

    def _read_mapping(self, node: MappingNode) -> dict[Key, Node]:
        parts: dict[Key, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.problems.append(f"{self._place(key)}: a setting's name must be a word, not a list or a mapping.")
            elif key.value in parts:
                first = parts[key.value].place
                self.problems.append(f"{self._place(key)}: '{key.value}' stands here a second time (first: {first}).")
            else:
                parts[key.value] = self.read(value, key)
        return parts

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1 if self._has_lines else None)


def shown(value: Any) -> str:
    """A value in a sentence."""
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text '{value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 3] + '...'}'"
    if isinstance(value, list):
        return "a list"
    return "a group of settings" if isinstance(value, dict) else str(value)


def _scalar(node: ScalarNode) -> Scalar:
    text: str = node.value
    if node.style in ("'", '"', "|", ">") or str(node.tag) == "tag:yaml.org,2002:str":
        return text
    for pattern, convert in CORE_SCHEMA:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _in_words(problem: MarkedYAMLError, file: str, has_lines: bool) -> str:
    said = " ".join(part for part in (problem.context, problem.problem) if part)
    hint = next((words for sign, words in HINTS.items() if sign in said), f"YAML says: {said}.")
    mark = problem.problem_mark or problem.context_mark
    if mark is None or not has_lines:
        return f"{file}: cannot be read. {hint}"
    return f"{file}, line {mark.line + 1}, column {mark.column + 1}: cannot be read from here on. {hint}"
