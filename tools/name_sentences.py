"""Sentences that the name recogniser learns from, with the places of the names in them."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faker import Faker
from name_lexicon import texts_of

from sonneteer.privacy.looks import TOKEN, Lexicon

HERE = Path(__file__).resolve().parent
WORDS = tomllib.loads((HERE / "name_words.toml").read_text("utf-8"))
LOCALES: list[str] = WORDS["locales"]
ENGLISH = ("en_US", "en_GB")
VIRTUES: list[str] = WORDS["virtues"]
TITLES = ("Mr", "Mr.", "Mrs", "Mrs.", "Ms.", "Ms", "Miss", "Dr.", "Dr", "Prof.")
WORDS_AS_NAMES, STRANGE_NAMES = 0.05, 0.25
SLOT = re.compile(r"\{(\w+)\}")
PEOPLE = ("name", "first", "last")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])|\n+")
PRONOUN = re.compile(r"(?<![\w’'])(?:He|She|he|she|him|His|his)(?![\w’'])")
CAPITAL_WITHIN = re.compile(r"[\w,] [A-Z]")
TWO_CAPITALS = re.compile(r"\b([A-Z][a-z]+) ([A-Z][\w.]*)")
TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof)\b")
SHORTEST, LONGEST = 20, 220


class Sentence(NamedTuple):
    """A text, and where its names stand."""

    text: str
    names: list[tuple[int, int]]


class Names:
    """Draws names of many countries, made-up ones, and now and then one that is an ordinary word, too."""

    def __init__(self, rng: random.Random, lexicon: Lexicon) -> None:
        self._rng = rng
        self._words = [*map(str.title, sorted(lexicon.names & (lexicon.common | lexicon.either))), *VIRTUES * 5]
        self._fakers = [Faker(locale) for locale in LOCALES]
        for faker in self._fakers:
            faker.seed_instance(rng.random())

    def first(self) -> str:
        return self._part(self._rng.choice(self._fakers).first_name)

    def last(self) -> str:
        return self._part(self._rng.choice(self._fakers).last_name)

    def _part(self, draw: Callable[[], str]) -> str:
        """A name as it is; or, as Grace and Baker are, an ordinary word, too; or one that no list has, so that what
        stands around it must give it away."""
        kind = self._rng.random()
        if kind < WORDS_AS_NAMES:
            return self._rng.choice(self._words)
        if kind < WORDS_AS_NAMES + STRANGE_NAMES:
            one, other = draw(), self._rng.choice(self._fakers).last_name()
            return one[: max(2, len(one) // 2)] + other[len(other) // 2 :].lower()
        return str(draw())

    def name(self) -> str:
        faker = self._rng.choice(self._fakers)
        first, last = self._part(faker.first_name), self._part(faker.last_name)
        kind = self._rng.random()
        if kind < 0.06:
            return f"{first} {faker.first_name()[0]}. {last}"
        if kind < 0.09:
            return f"{first[0]}. {last}"
        if kind < 0.13:
            return f"{first} {faker.first_name()} {last}"
        if kind < 0.16:
            return f"{first} {last}-{faker.last_name()}"
        if kind < 0.19:
            return f"{first} {self._rng.choice(('van', 'de', 'von', 'van der', 'de la', 'al', 'di'))} {last}"
        if kind < 0.4:
            return self._rng.choice((first, first, last))
        return f"{first} {last}"


def generated(rng: random.Random, lexicon: Lexicon, count: int) -> Iterator[Sentence]:
    """Sentences from templates, some of them joined."""
    words = {key: [word.strip() for word in value.split(";")] for key, value in WORDS["words"].items()}
    double = lexicon.names & (lexicon.common | lexicon.either)
    words |= {"common": sorted(lexicon.common), "known": sorted(lexicon.things), "double": sorted(double)}
    lines = (HERE / "name_templates.txt").read_text("utf-8").splitlines()
    templates = [line for line in lines if line and not line.startswith("#")]
    names = Names(rng, lexicon)
    for _ in range(count):
        parts = [_filled(rng.choice(templates), words, names, rng) for _ in range(rng.choice((1, 1, 2, 3)))]
        yield _joined(parts, rng.choice((" ", " ", "\n", "\n\n")))


def _filled(template: str, words: dict[str, list[str]], names: Names, rng: random.Random) -> Sentence:
    text, found, place = "", [], 0
    for match in SLOT.finditer(template):
        text += template[place : match.start()]
        value = _value(match.group(1), words, names, rng)
        if match.group(1) in PEOPLE:
            found.append((len(text), len(text) + len(value)))
        text += value
        place = match.end()
    return Sentence(text + template[place:], found)


def _value(slot: str, words: dict[str, list[str]], names: Names, rng: random.Random) -> str:
    if slot in PEOPLE:
        return str(getattr(names, slot)())
    if slot == "surname":  # of a firm or an illness: nobody's
        return names.last()
    if slot == "title":
        return rng.choice(TITLES)
    if slot == "thing":
        kinds = ("common", "common", "common", "common", "double")
        return " ".join(rng.choice(words[rng.choice(kinds)]).title() for _ in range(rng.choice((1, 1, 2))))
    if slot == "opening":
        return rng.choice(words["common"]).capitalize()
    if slot == "letter":
        return rng.choice("ABCDEFGHIKVX")
    if slot == "brand":
        parts = [_half(rng.choice(words["common"])).title() for _ in "12"]
        return "".join(parts) if rng.random() < 0.3 else "".join(parts).capitalize()
    if slot == "drug":
        return _half(rng.choice(words["common"])).capitalize() + rng.choice(words["drug"])
    if slot == "ailment":
        return rng.choice(words["ailing"]) + rng.choice(words["ailment"])
    if slot == "number":
        return str(rng.randint(1, 9999))
    if slot == "place" and rng.random() < 0.5:
        return rng.choice(words["known"]).title()
    return rng.choice(words[slot])


def _half(word: str) -> str:
    return word[: max(2, len(word) // 2)]


def _joined(parts: Sequence[Sentence], between: str) -> Sentence:
    text, found = "", []
    for part in parts:
        shift = len(text)
        found += [(start + shift, end + shift) for start, end in part.names]
        text += part.text + between
    return Sentence(text.removesuffix(between), found)


def from_texts(paths: Sequence[Path], lexicon: Lexicon, rng: random.Random, count: int) -> list[Sentence]:
    """Sentences of the texts: so many in which he and she became names, and as many with capitals but without anybody's
    name. Those with a capitalised word that may be a name are left out."""
    names = Names(rng, lexicon)
    named: list[Sentence] = []
    nameless: list[Sentence] = []
    for text in texts_of(paths):
        for sentence in SENTENCE_END.split(text):
            if not SHORTEST <= len(sentence) <= LONGEST:
                continue
            has_person, draw = PRONOUN.search(sentence) is not None, rng.random()
            if draw < (0.12 if has_person else 0.1) and _is_without_names(sentence, lexicon):
                (named if has_person else nameless).append(_with_names(sentence, names))
    rng.shuffle(named)
    nameless.sort(key=lambda one: (-min(4, sum(word[0].isupper() for word in one.text.split()[1:])), rng.random()))
    return [*named[:count], *nameless[:count]]


def impersonal(paths: Sequence[Path], lexicon: Lexicon, rng: random.Random, count: int) -> list[Sentence]:
    """Sentences with capitals from texts that name nobody. Those with a known name beside a capital are left out."""
    found = [
        Sentence(sentence, [])
        for text in texts_of(paths)
        for sentence in SENTENCE_END.split(text)
        if SHORTEST <= len(sentence) <= LONGEST
        and CAPITAL_WITHIN.search(sentence)
        and not _names_someone(sentence, lexicon)
    ]
    return rng.sample(found, min(count, len(found)))


def _names_someone(sentence: str, lexicon: Lexicon) -> bool:
    pairs = TWO_CAPITALS.findall(sentence)
    return any(word.lower() in lexicon.names for pair in pairs for word in pair) or bool(TITLED.search(sentence))


def _is_without_names(sentence: str, lexicon: Lexicon) -> bool:
    """Whether each capitalised word is a common one, or a place or thing and no name."""
    for token in TOKEN.findall(sentence):
        if token[0].isupper() and len(token) > 1:
            lowered = token.lower()
            if lowered not in lexicon.common and (lowered not in lexicon.things or lowered in lexicon.names):
                return False
    return True


def _with_names(sentence: str, names: Names) -> Sentence:
    """He, she and him are somebody, and his is somebody's."""
    text, found, place = "", [], 0
    for match in PRONOUN.finditer(sentence):
        text += sentence[place : match.start()]
        name = names.name()
        found.append((len(text), len(text) + len(name)))
        text += name + ("'s" if match.group().lower() == "his" else "")
        place = match.end()
    return Sentence(text + sentence[place:], found)


def restyled(sentence: Sentence, rng: random.Random) -> Sentence:
    """Now and then all in capitals, all without, or each word with one."""
    style = rng.random()
    change = str.upper if style < 0.03 else str.lower if style < 0.08 else _headline if style < 0.11 else str
    changed = change(sentence.text)
    return sentence._replace(text=changed) if len(changed) == len(sentence.text) else sentence


def _headline(text: str) -> str:
    return re.sub(r"(?<![\w'’])[a-z]\w{3,}", lambda match: match.group().capitalize(), text)
