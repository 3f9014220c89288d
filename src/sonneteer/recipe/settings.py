"""Every setting of a recipe by its dotted name, with the sentence that documents it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sonneteer.recipe.section import Section
from sonneteer.recipe.sections import Recipe


class Setting(NamedTuple):
    """One line of a recipe: a section, or a value in one."""

    name: str
    doc: str
    default: Any
    """PydanticUndefined where the recipe must say it."""
    section: type[Section] | None
    """The class of the section that stands under this name; None for a value."""

    @property
    def is_section(self) -> bool:
        """Whether further settings stand below it."""
        return self.section is not None

    @property
    def is_required(self) -> bool:
        """Whether a recipe cannot do without it."""
        return self.default is PydanticUndefined

    @property
    def parent(self) -> str:
        """The dotted name of the section that it stands in; empty at the top."""
        return self.name.rpartition(".")[0]

    @property
    def key(self) -> str:
        """The last part of its name: what is written before the colon."""
        return self.name.rpartition(".")[2]


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section class of a field, also where the section may be left out."""
    for choice in (field.annotation, *get_args(field.annotation)):
        if isinstance(choice, type) and issubclass(choice, Section):
            return choice
    return None


def _walk(section: type[Section], prefix: str) -> Iterator[Setting]:
    for key, field in section.model_fields.items():
        # `data.sources` is a list of sections: a value, not a section of its own.
        below = None if "tuple" in str(field.annotation) else section_of(field)
        doc = field.description or (below.__doc__ if below else None) or ""
        yield Setting(prefix + key, doc, field.get_default(call_default_factory=True), below)
        if below:
            yield from _walk(below, f"{prefix}{key}.")


SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _walk(Recipe, "")}


def keys_in(section: str) -> list[str]:
    """The keys that may stand in a section, named by its dotted name; empty is the top."""
    return [setting.key for setting in SETTINGS.values() if setting.parent == section]


def named(key: str) -> list[Setting]:
    """All settings whose last name is `key`, wherever they stand."""
    return [setting for setting in SETTINGS.values() if setting.key == key]
