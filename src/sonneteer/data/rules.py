"""Gopher's rules of length, repetition and symbols (Rae et al. 2021, arXiv 2112.11446, appendix A1), by name.

They look at what is learned: the answer, or the whole of a plain text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Literal, NamedTuple

from sonneteer.data.candidates import Outcome
from sonneteer.errors import RecipeError
from sonneteer.records import Example

STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])
BULLETS = ("•", "‣", "▪", "-", "*", "–")
REPETITION_NEEDS_WORDS = 30
"""Fewer words repeat nothing that would mean anything. Gopher drops texts below fifty words anyway."""


class Text(NamedTuple):
    """A text taken apart once for all rules."""

    whole: str
    words: list[str]
    lines: list[str]
    paragraphs: list[str]
    repeats: bool
    """Whether five words in a row come twice. Where they do not, no longer sequence does."""


class Rule(NamedTuple):
    """One measure of a text, and the limits that the two sets of rules give it."""

    measure: Callable[[Text], float]
    is_least: bool
    """Whether the limit is the least that is good, and not the most."""
    gopher: float
    chat: float | None
    """The limit for short answers; nothing where the rule makes no sense for them."""


def by_rules(example: Example, limits: dict[str, float]) -> Outcome:
    """Drop what breaks one of these limits."""
    if not example.answer.text:  # a call of a tool
        return Outcome(example)
    text = taken_apart(example.answer.text)
    for name, limit in limits.items():
        rule = RULES[name]
        value = rule.measure(text)
        if value < limit if rule.is_least else value > limit:
            return Outcome(None, f"rule {name}: {value:.3g}, but {'least' if rule.is_least else 'most'} {limit:g}")
    return Outcome(example)


def limits_of(rules: Literal["off", "chat", "gopher"], own: dict[str, float]) -> dict[str, float]:
    """The limits of a set of rules with those that the recipe lays over them. Raises RecipeError for unknown ones."""
    for name in own:
        if name not in RULES:
            near = get_close_matches(name, RULES, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(RULES)}."
            raise RecipeError(f"data.clean.limits.{name}: no such rule. {hint}")
    chosen = {name: None if rules == "off" else getattr(rule, rules) for name, rule in RULES.items()}
    return {name: limit for name, limit in chosen.items() if limit is not None} | own


def taken_apart(text: str) -> Text:
    """Words, lines and paragraphs of a text."""
    words = text.split()
    grams = _n_grams(words, 5) if len(words) >= REPETITION_NEEDS_WORDS else []
    return Text(
        text,
        words,
        [line for line in text.split("\n") if line.strip()],
        [part for part in re.split(r"\n{2,}", text) if part.strip()],
        len(set(grams)) < len(grams),
    )


# Measures --------------------------------------------------------------------------------------


def _mean_word_length(text: Text) -> float:
    return sum(map(len, text.words)) / len(text.words) if text.words else 0.0


def _symbols(text: Text) -> float:
    count = text.whole.count("#") + text.whole.count("...") + text.whole.count("…")
    return count / max(1, len(text.words))


def _lines_that(is_so: Callable[[str], bool], text: Text) -> float:
    return sum(map(is_so, text.lines)) / max(1, len(text.lines))


def _is_bullet(line: str) -> bool:
    return line.lstrip().startswith(BULLETS)


def _ends_in_ellipsis(line: str) -> bool:
    return line.rstrip().endswith(("...", "…"))


def _alphabetic(text: Text) -> float:
    return sum(any(map(str.isalpha, word)) for word in text.words) / max(1, len(text.words))


def _stop_words(text: Text) -> float:
    return float(len(STOP_WORDS & {word.lower().strip(".,;:!?'\"()") for word in text.words}))


def _repeated(parts_of: Callable[[Text], list[str]], text: Text) -> float:
    parts = parts_of(text)
    return 1 - len(set(parts)) / len(parts) if parts else 0.0


def _repeated_characters(parts_of: Callable[[Text], list[str]], text: Text) -> float:
    parts = parts_of(text)
    return sum((count - 1) * len(part) for part, count in Counter(parts).items()) / max(1, sum(map(len, parts)))


def _top_n_gram(n: int, text: Text) -> float:
    """Share of the characters in the n-gram that is there most often."""
    if len(text.words) < REPETITION_NEEDS_WORDS:
        return 0.0
    gram, count = Counter(_n_grams(text.words, n)).most_common(1)[0]
    return count * sum(map(len, gram)) / sum(map(len, text.words)) if count > 1 else 0.0


def _duplicate_n_grams(n: int, text: Text) -> float:
    """Share of the characters in n-grams that stood there before."""
    if not text.repeats:
        return 0.0
    seen: set[tuple[str, ...]] = set()
    place, repeated = 0, 0
    while place + n <= len(text.words):
        gram = tuple(text.words[place : place + n])
        repeated += sum(map(len, gram)) if gram in seen else 0
        place += n if gram in seen else 1
        seen.add(gram)
    return repeated / sum(map(len, text.words))


def _n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def _lines(text: Text) -> list[str]:
    return text.lines


def _paragraphs(text: Text) -> list[str]:
    return text.paragraphs


RULES: dict[str, Rule] = {
    "fewest_words": Rule(lambda text: len(text.words), True, 50, 1),
    "most_words": Rule(lambda text: len(text.words), False, 100_000, 100_000),
    "least_mean_word_length": Rule(_mean_word_length, True, 3, None),
    "most_mean_word_length": Rule(_mean_word_length, False, 10, 25),
    "symbols_per_word": Rule(_symbols, False, 0.1, 0.5),
    "bullet_lines": Rule(partial(_lines_that, _is_bullet), False, 0.9, None),
    "ellipsis_lines": Rule(partial(_lines_that, _ends_in_ellipsis), False, 0.3, None),
    "words_with_a_letter": Rule(_alphabetic, True, 0.8, None),
    "fewest_stop_words": Rule(_stop_words, True, 2, None),
    "repeated_lines": Rule(partial(_repeated, _lines), False, 0.3, 0.3),
    "repeated_paragraphs": Rule(partial(_repeated, _paragraphs), False, 0.3, 0.3),
    "characters_in_repeated_lines": Rule(partial(_repeated_characters, _lines), False, 0.2, 0.2),
    "characters_in_repeated_paragraphs": Rule(partial(_repeated_characters, _paragraphs), False, 0.2, 0.2),
    **{
        f"top_{n}_gram": Rule(partial(_top_n_gram, n), False, limit, limit)
        for n, limit in ((2, 0.20), (3, 0.18), (4, 0.16))
    },
    **{
        f"repeated_{n}_grams": Rule(partial(_duplicate_n_grams, n), False, limit, limit)
        for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    },
}
"""In the order in which they are asked: the first that is broken is told."""
