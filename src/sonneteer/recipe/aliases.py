"""Sort what a recipe says: our settings, other tools' names for them, and what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from sonneteer.recipe.document import Key, Node, Place
from sonneteer.recipe.peers import ALIASES, CONTAINERS, Alias, alias_for, refusal_for
from sonneteer.recipe.settings import SETTINGS, keys_in, named

SHORTHAND = {"base": "base.model", "data": "data.sources", "search": "search.by"}
"""Sections that may be written as a plain value."""


class Said(NamedTuple):
    """One thing that the recipe says."""

    target: str
    """Dotted name of our setting."""
    value: Any
    written: str
    """The name that was written."""
    node: Node
    tool: str | None = None
    """Whose name it is, where it is not ours."""

    @property
    def note(self) -> str:
        """How another tool's name was understood."""
        if self.value == self.node.value or not isinstance(self.node.value, (str, int, float, bool)):
            return f"{self.written} ({self.tool}) -> {self.target}"
        return f"{self.written}: {_yaml_word(self.node.value)} ({self.tool}) -> {self.target}: {_yaml_word(self.value)}"

    def place_of(self, path: Sequence[Key]) -> Place:
        """Where a part of the value was written."""
        return self.node.place_of(path)


@dataclass
class Sorted:
    """What a document says, sorted."""

    said: list[Said] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    """Sections of ours that were written, also empty ones."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    garbled: set[str] = field(default_factory=set)
    """Settings of ours that were said in a way that means nothing: they are not missing too."""


def sort_out(node: Node, into: Sorted, prefix: str = "") -> None:
    """Sort everything below `node`, which stands under the dotted `prefix`."""
    for key, part in node.parts.items():
        name = f"{prefix}{key}"
        setting = SETTINGS.get(name)
        if setting is None:
            _sort_foreign(name, part, into)
        elif not setting.is_section:
            into.said.append(Said(name, part.value, name, part))
        elif part.value is None or isinstance(part.value, dict):
            _sort_section(name, part, into)
        elif name in SHORTHAND:
            into.said.append(Said(SHORTHAND[name], part.value, name, part))
        else:
            into.problems.append(
                f"{part.place}: {name} must be a section: settings below it, indented. Its settings: "
                f"{', '.join(keys_in(name))}."
            )


def _sort_section(name: str, part: Node, into: Sorted) -> None:
    if part.value is None:
        into.said.append(Said(name, None, name, part))
        return
    into.sections.append(name)
    sort_out(part, into, f"{name}.")


def _sort_foreign(name: str, part: Node, into: Sorted) -> None:
    """A name that is not ours: another tool's, or nobody's."""
    parent, _, key = name.rpartition(".")
    is_misplaced = parent in SETTINGS and bool(named(key))
    alias = None if is_misplaced else alias_for(name)
    if isinstance(part.value, dict) and (key in CONTAINERS or any(other.startswith(f"{name}.") for other in ALIASES)):
        sort_out(part, into, f"{name}.")
    elif alias:
        _translate(alias, name, part, into)
    elif not is_misplaced and (refused := refusal_for(name)):
        if part.value in refused.harmless:
            into.notes.append(f"{name}: {_yaml_word(part.value)} is what happens here anyway: {refused.why}")
        elif part.value is not None:  # an empty value says: not set
            into.problems.append(f"{part.place}: {name} has no counterpart: {refused.why}. Remove the setting.")
    else:
        into.problems.append(f"{part.place}: {no_such_setting(name)}")


def _translate(alias: Alias, name: str, part: Node, into: Sorted) -> None:
    if part.value is None and not alias.is_null_said:
        return
    try:
        value = alias.convert(part.value)
    except ValueError as problem:
        into.garbled.add(alias.target)
        written = f"{name}: {part.value}" if isinstance(part.value, (str, int, float)) else name
        into.problems.append(f"{part.place}: {written} ({alias.tool}, here {alias.target}): {problem}.")
        return
    said = Said(alias.target, value, name, part, alias.tool)
    into.said.append(said)
    if alias.target in SETTINGS:  # else it is one of two numbers that make a setting together
        into.notes.append(said.note)


def no_such_setting(name: str) -> str:
    """Say that nobody knows the setting `name`, and what comes near."""
    parent, _, key = name.rpartition(".")
    elsewhere = [setting for setting in named(key) if setting.parent != parent]
    if elsewhere:
        homes = [f"'{setting.parent}'" if setting.parent else "the top of the recipe" for setting in elsewhere]
        first = elsewhere[0].parent
        hint = f"It belongs to {' or '.join(homes)}" + (
            f": write it below '{first}:', indented, or --{first}.{key} on a command line." if first else "."
        )
    elif near := nearest(key, keys_in(parent)):
        hint = f"Did you mean '{near}'?"
    elif near := nearest(key, [setting.key for setting in SETTINGS.values()]):
        hint = f"Did you mean '{named(near)[0].name}'?"
    elif near := nearest(key, list(ALIASES)):
        hint = f"Did you mean '{near}', which is {ALIASES[near].target} here?"
    else:
        hint = f"{f'In {parent!r} there' if parent else 'There'} is: {', '.join(keys_in(parent))}."
    return f"{name}: no such setting. {hint}"


def nearest(word: str, words: Sequence[str]) -> str | None:
    """The word that comes near, if one does."""
    found = get_close_matches(word.lower().replace("-", "_"), words, n=1, cutoff=0.7)
    return found[0] if found else None


def _yaml_word(value: Any) -> str:
    words = {True: "true", False: "false", None: "null"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
