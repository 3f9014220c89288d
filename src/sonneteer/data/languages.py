"""Which language a conversation is in, by py3langid, whose model lies in its package."""

from __future__ import annotations

from functools import cache
from typing import Any

from sonneteer.data.candidates import Outcome
from sonneteer.errors import RecipeError
from sonneteer.records import Example

FEWEST_LETTERS = 20
"""Shorter texts are kept whatever they seem to be: 'Thanks' may be many languages."""
FEWEST_CERTAIN = 0.5


def only_languages(example: Example, languages: tuple[str, ...]) -> Outcome:
    """Drop what is surely in none of these languages. What is too short to tell is kept."""
    language = language_of(text_of(example))
    if language is None or language in languages:
        return Outcome(example)
    return Outcome(None, f"language: {language}, but data.clean.languages are {', '.join(languages)}")


def language_of(text: str) -> str | None:
    """The language in two letters, or nothing where it cannot be told."""
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return None
    language, certainty = _identifier().classify(text)
    return str(language) if certainty >= FEWEST_CERTAIN else None


def text_of(example: Example) -> str:
    """What user and assistant said."""
    return "\n".join(message.text for message in example.messages if message.role in ("user", "assistant"))


def refuse_unknown(languages: tuple[str, ...]) -> None:
    """Raises RecipeError for languages that cannot be recognised."""
    known = set(_identifier().labels) if languages else set()
    if unknown := sorted(set(languages) - known):
        raise RecipeError(
            f"data.clean.languages: '{unknown[0]}' is no language that can be recognised. "
            f"Write two letters, such as en. Known are {', '.join(sorted(known))}."
        )


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
