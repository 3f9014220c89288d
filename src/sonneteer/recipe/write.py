"""Write a recipe to begin with: every setting with its default, and above each the sentence that documents it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from sonneteer.errors import MissingError
from sonneteer.recipe.aliases import nearest
from sonneteer.recipe.document import parse
from sonneteer.recipe.sections import Recipe, SourceSettings, TrainingSettings
from sonneteer.recipe.settings import SETTINGS

WIDTH = 100


FOR_COUPLET = {"learning_rate": 3e-3, "epochs": 5, "micro_batch_tokens": 1536}
"""A model as small as the bundled one needs larger steps, and more of them, than the defaults for real ones;
and where it is tried, memory is often scarce."""


class Kind(NamedTuple):
    """A ready-made recipe."""

    title: str
    about: str
    file: str
    """The examples beside it, in the package's folder `recipes/<kind>/`."""


KINDS: dict[str, Kind] = {
    "support": Kind(
        "Customer service: a customer writes, the house answers by its own rules.",
        "The conversations are of a made-up company, and were written for this recipe.",
        "conversations.jsonl",
    ),
    "legal": Kind(
        "Legal documents: a clause goes in, an analysis in plain language comes out.",
        "The clauses and analyses were written for this recipe, as examples of form. They are not legal advice, and no "
        "lawyer has reviewed them: replace them by the work of your own.",
        "clauses.jsonl",
    ),
    "medical": Kind(
        "Medical questions: a patient asks, a careful answer says what helps and when to see a doctor.",
        "The questions and answers were written for this recipe, as examples of form. They are not medical advice, and "
        "no physician has reviewed them: replace them by texts that yours have.",
        "questions.jsonl",
    ),
    "content": Kind(
        "Content: a brief goes in, the product's text comes out in the voice of the house.",
        "The products are made up and their texts were written for this recipe, as examples of form: replace them by "
        "yours.",
        "briefs.jsonl",
    ),
}


def write_recipe(kind: str) -> str:
    """The commented YAML of a ready-made recipe. Raises MissingError where there is none of this kind."""
    if kind not in KINDS:
        near = nearest(kind, list(KINDS))
        hint = f"Did you mean '{near}'?" if near else f"There is: {', '.join(KINDS)}."
        raise MissingError(f"There is no ready-made recipe '{kind}'. {hint}")
    sources = [{"path": KINDS[kind].file}]
    recipe = Recipe.model_validate({"name": kind, "data": {"sources": sources}, "training": FOR_COUPLET})
    return "\n".join([*_head(KINDS[kind]), *_lines(recipe, "", 0)]) + "\n"


def _head(kind: Kind) -> Iterator[str]:
    yield from _comment(kind.title, 0)
    yield "#"
    yield from _comment(f"{kind.about} They lie in {kind.file}: a few dozen show the way, a few hundred teach.", 0)
    yield "#"
    defaults = TrainingSettings()
    yield from _comment(
        "Build, prove and talk: sonneteer run, sonneteer chat. Every setting below has its default, but for three that "
        f"suit the small bundled model. With a real base model take training.learning_rate {defaults.learning_rate:g} "
        f"and training.epochs {defaults.epochs:g}.",
        0,
    )
    yield ""


def _lines(section: BaseModel, prefix: str, depth: int) -> Iterator[str]:
    for key in type(section).model_fields:
        name, value = f"{prefix}{key}", getattr(section, key)
        if isinstance(value, BaseModel):
            yield ""
            yield from _comment(SETTINGS[name].doc, depth)
            yield f"{'  ' * depth}{key}:"
            yield from _lines(value, f"{name}.", depth + 1)
        else:
            yield from _comment(SETTINGS[name].doc, depth)
            yield from _value(key, value, depth)


def _value(key: str, value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not (isinstance(value, tuple) and value and isinstance(value[0], SourceSettings)):
        yield f"{indent}{key}: {_word(value)}"
        return
    yield f"{indent}{key}:"
    for source in value:
        mark = f"{indent}  - "
        for field, about in SourceSettings.model_fields.items():
            yield from _comment(about.description or "", depth + 2)
            yield f"{mark}{field}: {_word(getattr(source, field))}"
            mark = f"{indent}    "


def _comment(text: str, depth: int) -> Iterator[str]:
    mark = f"{'  ' * depth}# "
    return iter(textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False))


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_word(key)}: {_word(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and not _is_plain(value):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as it is, without quotes."""
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum() and parse(text, "word").value == text
