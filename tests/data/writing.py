"""Files of rows to prepare, and a reader that takes every word for a token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sonneteer.errors import DataError
from sonneteer.progress import Silent
from sonneteer.recipe.sections import DataSettings, Recipe, SourceSettings
from sonneteer.records import Example, Rendered, Renderer


class Noting(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class WordReader:
    """Every word is a token, and every message ends in one more. Refuses what says 'unspeakable'."""

    def __init__(self, fingerprint: str = "words") -> None:
        self.fingerprint = fingerprint

    def renderer(self, examples: Sequence[Example]) -> Renderer:
        return self

    def render(self, example: Example) -> list[Rendered]:
        weights = [0.0]
        for message in example.messages:
            weight = message.weight if message.role == "assistant" else 0.0
            weights += [weight] * (len(message.text.split()) + 1)
            if "unspeakable" in message.text:
                raise DataError("the template refuses it")
        return [Rendered(list(range(len(weights))), weights)]


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    """JSON lines; a text stands for a line of its own."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def recipe_of(*sources: str | SourceSettings, seed: int = 0, **settings: Any) -> Recipe:
    named = tuple(SourceSettings(path=source) if isinstance(source, str) else source for source in sources)
    return Recipe(name="support", seed=seed, data=DataSettings(sources=named, **settings))


def question(number: int, **tags: str) -> dict[str, Any]:
    """A row that differs from those of other numbers in question and answer."""
    return {"prompt": f"question {number}", "completion": f"answer {number}", "tags": tags}
