"""A rough sentiment: English words of praise minus words of blame. It sees no irony and no negation."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from sonneteer.evaluation.texts import words


def sentiment(text: str) -> float:
    """From -1, all blame, to 1, all praise; 0 where neither is found."""
    said, listed = words(text), _lists()
    praise, blame = (sum(word in listed[kind] for word in said) for kind in ("praise", "blame"))
    return (praise - blame) / (praise + blame) if praise + blame else 0.0


@cache
def _lists() -> dict[str, frozenset[str]]:
    listed = tomllib.loads(files("sonneteer.evaluation").joinpath("sentiment.toml").read_text("utf-8"))
    return {kind: frozenset(text.split()) for kind, text in listed.items()}
