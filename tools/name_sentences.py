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
WORDS_AS_NAMES, STRANGE_NAMES, ROMANISED = 0.08, 0.25, 0.12
SLOT = re.compile(r"\{(\w+)\}")
PEOPLE = ("name", "first", "last")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“])|\n+")
PRONOUN = re.compile(r"(?<![\w’'])(?:He|She|he|she|him|His|his)(?![\w’'])")
CAPITAL_WITHIN = re.compile(r"[\w,] [A-Z]")
TWO_CAPITALS = re.compile(r"\b([A-Z][a-z]+) ([A-Z][\w.]*)")
TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof)\b")
SHORTEST, LONGEST, SEEN_SHARE = 20, 220, 0.35


class Sentence(NamedTuple):
    """A text, and where its names stand."""

    text: str
    names: list[tuple[int, int]]


def _listed(key: str) -> list[str]:
    """The words of one kind in `name_words.toml`."""
    return [" ".join(word.split()) for word in WORDS["words"][key].split(";")]


FIRSTS, LASTS = _listed("name_first"), _listed("name_last")
THINGS = ["org", "product", "place", "brandname", "tech", "food", "term", "spot", "title_work", "venue", "substance"]
OF_THINGS = [word for key in THINGS for word in _listed(key)]


class Names:
    """Draws names of many countries, made-up ones, and now and then one that is an ordinary word, too."""

    def __init__(self, rng: random.Random, lexicon: Lexicon) -> None:
        self._rng = rng
        doubles = sorted((lexicon.firsts | lexicon.lasts) & (lexicon.common | lexicon.either))
        self._words = [*map(str.title, doubles), *VIRTUES * 5]
        self._romanised = {"first": FIRSTS, "last": LASTS}
        self._fakers = [Faker(locale) for locale in LOCALES]
        for faker in self._fakers:
            faker.seed_instance(rng.random())

    def first(self) -> str:
        return self._part(self._pair()[0])

    def last(self) -> str:
        return self._part(self._pair()[1])

    def _pair(self) -> tuple[Callable[[], str], Callable[[], str]]:
        """What draws first names and what draws last names, of one country."""
        if self._rng.random() < ROMANISED:
            return (
                lambda: self._rng.choice(self._romanised["first"]),
                lambda: self._rng.choice(self._romanised["last"]),
            )
        faker = self._rng.choice(self._fakers)
        return faker.first_name, faker.last_name

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
        draw_first, draw_last = self._pair()
        first, last = self._part(draw_first), self._part(draw_last)
        kind = self._rng.random()
        if kind < 0.06:
            return f"{first} {draw_first()[0]}. {last}"
        if kind < 0.09:
            return f"{first[0]}. {last}"
        if kind < 0.13:
            return f"{first} {draw_first()} {last}"
        if kind < 0.16:
            return f"{first} {last}-{draw_last()}"
        if kind < 0.19:
            return f"{first} {self._rng.choice(('van', 'de', 'von', 'van der', 'de la', 'al', 'di'))} {last}"
        if kind < 0.4:
            return self._rng.choice((first, first, last))
        return f"{first} {last}"


def generated(rng: random.Random, lexicon: Lexicon, count: int) -> Iterator[Sentence]:
    """Sentences from templates, some of them joined."""
    words = {key: _listed(key) for key in WORDS["words"]}
    double = (lexicon.firsts | lexicon.lasts) & (lexicon.common | lexicon.either)
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
    if slot == "acronym":
        return "".join(rng.choices("ABCDEFGHIKLMNOPRSTUV", k=rng.choice((2, 3, 3, 4))))
    if slot == "brand":
        return _brand(words, rng)
    if slot == "drug":
        return _half(rng.choice(words["common"])).capitalize() + rng.choice(words["drug"])
    if slot == "ailment":
        return rng.choice(words["ailing"]) + rng.choice(words["ailment"])
    if slot == "number":
        return str(rng.randint(1, 9999))
    if slot == "place" and rng.random() < 0.5:
        return rng.choice(words["known"]).title()
    return rng.choice(words[slot])


def _brand(words: dict[str, list[str]], rng: random.Random) -> str:
    """What a firm or its product might be called: halves of words or of places, or one that there is."""
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(words["brandname"])
    if kind < 0.25:
        return rng.choice(words["known"]).title()
    parts = [_half(rng.choice(words["common" if rng.random() < 0.7 else "known"])).title() for _ in "12"]
    return "".join(parts) if kind < 0.45 else "".join(parts).capitalize()


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
    """Sentences of the texts: so many in which people, or he and she, got other names, and as many with capitals but
    without anybody's name. Those with a capitalised word of which we do not know whether it is a name are left out."""
    names = Names(rng, lexicon)
    named: list[Sentence] = []
    nameless: list[Sentence] = []
    for text in texts_of(paths):
        for sentence in SENTENCE_END.split(text):
            if SHORTEST <= len(sentence) <= LONGEST and rng.random() < SEEN_SHARE:
                people = _people_in(sentence, lexicon)
                if people is not None:
                    people += [match.span() for match in PRONOUN.finditer(sentence) if rng.random() < 0.7]
                    (named if people else nameless).append(_with_names(sentence, sorted(people), names))
    rng.shuffle(named)
    nameless.sort(key=lambda one: (-min(4, sum(word[0].isupper() for word in one.text.split()[1:])), rng.random()))
    return [*named[:count], *nameless[:count]]


def _people_in(sentence: str, lexicon: Lexicon) -> list[tuple[int, int]] | None:
    """Where people stand, if of every capitalised word it is known whether it is one. Neighbours are one name."""
    people: list[tuple[int, int]] = []
    last = -9
    for match in TOKEN.finditer(sentence):
        token, lowered = match.group(), match.group().lower()
        if not token[0].isupper():
            continue
        is_name = lowered in lexicon.firsts or lowered in lexicon.lasts
        is_other = lowered in lexicon.common or lowered in lexicon.things or lowered in lexicon.either
        follows = bool(people) and sentence[last : match.start()] in (" ", ". ")
        if lowered in lexicon.firsts and not is_other and len(token) > 2:
            people.append((match.start(), match.end()))
        elif follows and (len(token) == 1 or not is_other or (is_name and lowered not in lexicon.common)):
            people[-1] = (people[-1][0], match.end())
        elif not is_other or (is_name and lowered not in lexicon.common and lowered not in lexicon.either):
            return None
        last = match.end() if people and people[-1][1] == match.end() else -9
    return people


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
    return any(word.lower() in lexicon.firsts for pair in pairs for word in pair) or bool(TITLED.search(sentence))


def _with_names(sentence: str, people: Sequence[tuple[int, int]], names: Names) -> Sentence:
    """The people got other names. He and she are somebody, and his is somebody's."""
    text, found, place = "", [], 0
    for start, end in people:
        text += sentence[place:start]
        name = names.name()
        found.append((len(text), len(text) + len(name)))
        text += name + ("'s" if sentence[start:end].lower() == "his" else "")
        place = end
    return Sentence(text + sentence[place:], found)


def restyled(sentence: Sentence, rng: random.Random) -> Sentence:
    """Now and then all in capitals, all without, or each word with one."""
    style = rng.random()
    change = str.upper if style < 0.03 else str.lower if style < 0.08 else _headline if style < 0.11 else str
    changed = change(sentence.text)
    return sentence._replace(text=changed) if len(changed) == len(sentence.text) else sentence


def _headline(text: str) -> str:
    return re.sub(r"(?<![\w'’])[a-z]\w{3,}", lambda match: match.group().capitalize(), text)


def of_posts(path: Path, lexicon: Lexicon, rng: random.Random) -> Iterator[Sentence]:
    """Texts in which people are marked, in CoNLL's form, as they are and with other people."""
    names = Names(rng, lexicon)
    for block in re.split(r"\n\s*\n", path.read_text("utf-8")):
        text, found = "", []
        for word, tag in filter(None, map(_marked, block.splitlines())):
            if tag in ("B-person", "B-PER"):
                found.append((len(text), len(text) + len(word)))
            elif tag in ("I-person", "I-PER") and found:
                found[-1] = (found[-1][0], len(text) + len(word))
            text += word + " "
        yield Sentence(text, found)
        if found:
            yield _with_names(text, found, names)


def _marked(line: str) -> tuple[str, str] | None:
    """A word and its mark, where the line has them, perhaps after a number. What is called by an @ is an account."""
    columns = line.split("\t")
    if len(columns) > 2 and columns[0].isdigit():
        columns = columns[1:]
    return (columns[0], columns[1]) if len(columns) > 1 and not line.startswith("@") else None
