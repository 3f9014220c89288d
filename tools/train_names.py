"""Train the name recogniser on generated sentences and write `src/sonneteer/privacy/names.json.gz`.

    python tools/train_names.py [TEXT...]

TEXT are files of ordinary English (.jsonl.xz with a field `text`); only the words that they write in lower case are
taken from them, and without any those of the former recogniser stay. Names are Faker's, of the locales in
`name_words.toml`; those of `benchmarks/privacy.py` are others.
"""

from __future__ import annotations

import gzip
import json
import lzma
import random
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from faker import Faker

from sonneteer.privacy.recogniser import (
    TOKEN,
    Lexicon,
    Recogniser,
    candidates,
    context_features,
    look_of,
    word_features,
)

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "sonneteer" / "privacy" / "names.json.gz"
LOCALES = tomllib.loads((HERE / "name_words.toml").read_text("utf-8"))["locales"]
TITLES = ("Mr", "Mr.", "Mrs", "Mrs.", "Ms.", "Ms", "Miss", "Dr.", "Dr", "Prof.")
SENTENCES, EPOCHS, SEED = 40_000, 5, 7
COMMON_WORDS = 30_000
THRESHOLD = -2.0
"""Below zero: a name that is missed does more harm than a word that is masked."""
WORDS_AS_NAMES = 0.03
FORGOTTEN = 0.25
"""Share of the candidates whose letters, and of those whose neighbours, are hidden while the other is learned."""
LETTERS, NEIGHBOURS = frozenset("w432p"), frozenset("1dnmo")
SLOT = re.compile(r"\{(\w+)\}")
PEOPLE = ("name", "first", "last")


class Sentence(NamedTuple):
    """A text, and where its names stand."""

    text: str
    names: list[tuple[int, int]]


class Names:
    """Draws names of many countries."""

    def __init__(self, rng: random.Random, words: Sequence[str]) -> None:
        self._rng = rng
        self._words = words
        self._fakers = [Faker(locale) for locale in LOCALES]
        for faker in self._fakers:
            faker.seed_instance(rng.random())

    def first(self) -> str:
        return self._word() or str(self._rng.choice(self._fakers).first_name())

    def last(self) -> str:
        return self._word() or str(self._rng.choice(self._fakers).last_name())

    def _word(self) -> str:
        """Now and then an ordinary word, as Grace and Baker are: what stands around it must give it away."""
        return self._rng.choice(self._words).title() if self._rng.random() < WORDS_AS_NAMES else ""

    def name(self) -> str:
        faker = self._rng.choice(self._fakers)
        first, last = self._word() or faker.first_name(), self._word() or faker.last_name()
        kind = self._rng.random()
        if kind < 0.08:
            return f"{first} {faker.first_name()[0]}. {last}"
        if kind < 0.12:
            return f"{first[0]}. {last}"
        if kind < 0.16:
            return f"{first} {faker.first_name()} {last}"
        if kind < 0.2:
            return f"{first} {last}-{faker.last_name()}"
        if kind < 0.23:
            return f"{first} {self._rng.choice(('van', 'de', 'von', 'van der', 'de la', 'al', 'di'))} {last}"
        if kind < 0.3:
            return str(self._rng.choice((first, last)))
        return f"{first} {last}"


def sentences(rng: random.Random, common: frozenset[str]) -> Iterator[Sentence]:
    """Generated sentences, some of them joined, some written in capitals or without."""
    words = {
        key: [word.strip() for word in value.split(";")]
        for key, value in tomllib.loads((HERE / "name_words.toml").read_text("utf-8"))["words"].items()
    }
    words["common"] = sorted(word for word in common if word.isalpha())
    lines = (HERE / "name_templates.txt").read_text("utf-8").splitlines()
    templates = [line for line in lines if line and not line.startswith("#")]
    names = Names(rng, words["common"])
    for _ in range(SENTENCES):
        parts = [_filled(rng.choice(templates), words, names, rng) for _ in range(rng.choice((1, 1, 2, 3)))]
        sentence = _joined(parts, rng.choice((" ", " ", "\n", "\n\n")))
        style = rng.random()
        if style < 0.03:
            yield sentence._replace(text=_same_length(sentence.text, sentence.text.upper()))
        elif style < 0.07:
            yield sentence._replace(text=_same_length(sentence.text, sentence.text.lower()))
        else:
            yield sentence


def _same_length(text: str, changed: str) -> str:
    return changed if len(changed) == len(text) else text


def _filled(template: str, words: dict[str, list[str]], names: Names, rng: random.Random) -> Sentence:
    text, found, place = "", [], 0
    for match in SLOT.finditer(template):
        text += template[place : match.start()]
        slot = match.group(1)
        if slot in PEOPLE:
            value = getattr(names, slot)()
            found.append((len(text), len(text) + len(value)))
        elif slot == "title":
            value = rng.choice(TITLES)
        elif slot == "thing":
            value = " ".join(rng.choice(words["common"]).title() for _ in range(rng.choice((1, 1, 2))))
        elif slot == "brand":
            value = _half(rng.choice(words["common"])).title() + _half(rng.choice(words["common"]))
        elif slot == "number":
            value = str(rng.randint(1, 9999))
        else:
            value = rng.choice(words[slot])
        text += value
        place = match.end()
    return Sentence(text + template[place:], found)


def _half(word: str) -> str:
    return word[: max(2, len(word) // 2)]


def _joined(parts: Sequence[Sentence], between: str) -> Sentence:
    text, found = "", []
    for part in parts:
        shift = len(text)
        found += [(start + shift, end + shift) for start, end in part.names]
        text += part.text + between
    return Sentence(text.removesuffix(between), found)


def common_words(paths: Sequence[Path]) -> frozenset[str]:
    """Words that ordinary English nearly always writes in lower case within a sentence."""
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    for path in paths:
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                for word in re.findall(r"(?<=[a-z,;] )[A-Za-z][a-z'’-]+", json.loads(line)["text"]):
                    (small if word[0].islower() else large)[word.lower()] += 1
    kept = [word for word, count in small.most_common() if count >= 3 and count > 5 * large[word]]
    return frozenset(kept[:COMMON_WORDS])


def former_words() -> frozenset[str]:
    """The words that the recogniser knew before."""
    return frozenset(json.loads(gzip.decompress(TARGET.read_bytes()))["common"].split(" "))


def train(examples: Sequence[Sentence], lexicon: Lexicon, rng: random.Random) -> dict[str, float]:
    """Averaged perceptron over the candidates, with the recogniser's own labels before each as it would have them."""
    weights: dict[str, float] = defaultdict(float)
    sums: dict[str, float] = defaultdict(float)
    look = cache(partial(look_of, lexicon=lexicon))
    step = 0
    order = list(examples)
    for _ in range(EPOCHS):
        rng.shuffle(order)
        for example in order:
            matches = list(TOKEN.finditer(example.text))
            tokens = [match.group() for match in matches]
            inside = [any(start <= match.start() < end for start, end in example.names) for match in matches]
            labels = [False] * len(tokens)
            for place in candidates(tokens, lexicon.common):
                step += 1
                hidden = _hidden(rng)
                features = (*word_features(look(tokens[place])), *context_features(tokens, place, labels, look))
                seen = [one for one in features if one[0] not in hidden]
                score = sum(weights[feature] for feature in seen)
                labels[place] = inside[place]
                wanted = 1.0 if inside[place] else -1.0
                if score * wanted <= 1.0:
                    for feature in seen:
                        weights[feature] += wanted
                        sums[feature] += wanted * step
    return {feature: weight - sums[feature] / step for feature, weight in weights.items()}


def _hidden(rng: random.Random) -> frozenset[str]:
    """Kinds of features that are not looked at this time, so that either kind learns to do without the other."""
    draw = rng.random()
    return LETTERS if draw < FORGOTTEN else NEIGHBOURS if draw < 2 * FORGOTTEN else frozenset()


def known_names() -> list[str]:
    """All words of all names of the locales."""
    found: set[str] = set()
    for locale in LOCALES:
        for provider in Faker(locale).factories[0].get_providers():
            pools = ("first_names", "first_names_male", "first_names_female", "last_names")
            listed = [str(name) for pool in pools for name in getattr(provider, pool, ())]
            found.update(token.lower() for name in listed for token in TOKEN.findall(name))
    return sorted(word for word in found if len(word) > 2)


def main() -> None:
    """Train, prune, write, and say how well the training sentences are recognised."""
    rng = random.Random(SEED)
    paths = [Path(path) for path in sys.argv[1:]]
    common = common_words(paths) if paths else former_words()
    examples = list(sentences(rng, common))
    names = known_names()
    half = Lexicon(common, frozenset(rng.sample(names, len(names) // 2)))  # unknown names must be learned, too
    weights = train(examples, half, rng)
    kept = {feature: round(weight, 1) for feature, weight in sorted(weights.items()) if abs(weight) >= 0.5}
    model = {"threshold": THRESHOLD, "common": " ".join(sorted(common)), "names": " ".join(names), "weights": kept}
    packed = json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(packed, mtime=0))
    recogniser = Recogniser(kept, half, THRESHOLD)
    hits = sum(set(recogniser.names_in(one.text)) == set(one.names) for one in examples[:3000])
    print(f"{len(common)} common words, {len(names)} names, {len(kept)} weights, {TARGET.stat().st_size:,} bytes")
    print(f"{hits / 3000:.3f} of the sentences are recognised whole")


if __name__ == "__main__":
    main()
