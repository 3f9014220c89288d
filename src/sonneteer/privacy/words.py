"""Lists of words, from `words.toml`: cues, titles, kinds of street."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


@cache
def _lists() -> dict[str, str]:
    return tomllib.loads(files("sonneteer.privacy").joinpath("words.toml").read_text("utf-8"))


def words(name: str) -> tuple[str, ...]:
    """One of the lists."""
    return tuple(" ".join(word.split()) for word in _lists()[name].split(";"))
