"""What the examples are about: clusters of TF-IDF vectors, their share of each side and source, and drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sonneteer.records import SplitName

MOST_EXAMPLES = 20_000
MOST_TOPICS = 12
EXAMPLES_A_TOPIC = 25
FEWEST_WITH_A_WORD = 5
"""Words of fewer examples name nothing: they could be names."""
RARE_SHARE = 0.01
MOST_DOTS = 600
DIMENSIONS = 64


class Topic(NamedTuple):
    """One cluster, by its most telling words."""

    words: list[str]
    examples: int
    shares: dict[SplitName, float]
    """Its share of each side."""
    doubt: str
    """Where it is missing or rare."""


class Drift(NamedTuple):
    """How differently one source's examples spread over the topics than those of all others."""

    source: str
    examples: int
    divergence: float
    """Jensen-Shannon divergence in bits: 0 where they spread alike, 1 where they have nothing in common."""
    is_chance: bool
    """Whether so much may well be chance: it is not beyond 19 of 20 random reassignments."""


class Dot(NamedTuple):
    """One example on the map: near to others that use similar words. Both places are from 0 to 1."""

    x: float
    y: float
    topic: int
    """Which of the topics it belongs to, counted from the largest."""


class Topics(NamedTuple):
    """The clusters, how the sources differ in them, and a map of some of the examples."""

    topics: list[Topic]
    drift: list[Drift]
    dots: list[Dot]


def topics_of(texts: Sequence[str], sides: Sequence[SplitName], sources: Sequence[str], seed: int = 0) -> Topics:
    """Clusters of at most so many texts, drawn by chance where there are more. None where there are too few."""
    rng = np.random.default_rng(seed)
    chosen = np.arange(len(texts))
    if len(texts) > MOST_EXAMPLES:
        chosen = np.sort(rng.choice(chosen, MOST_EXAMPLES, replace=False))
    count = min(MOST_TOPICS, len(chosen) // EXAMPLES_A_TOPIC)
    features, names = _features([texts[index] for index in chosen.tolist()]) if count > 1 else (None, [])
    if features is None or features.shape[1] < 2:
        return Topics([], [], [])
    reduced = _reduced(features, seed)
    labels = _labels(reduced, count, seed)
    held = [sides[index] for index in chosen.tolist()]
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable").tolist()
    topics = [_topic(features, names, labels, held, label) for label in order if (labels == label).any()]
    dots = _dots(reduced, [order.index(label) for label in labels.tolist()], rng)
    return Topics(topics, _drift(labels, [sources[index] for index in chosen.tolist()], rng), dots)


def _features(texts: Sequence[str]) -> tuple[Any, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        min_df=FEWEST_WITH_A_WORD, max_df=0.5, max_features=20_000, stop_words="english", token_pattern=r"[^\W\d_]{3,}"
    )
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no word is in enough texts
        return None, []
    return features, list(vectorizer.get_feature_names_out())


def _reduced(features: Any, seed: int) -> NDArray[np.float64]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    dimensions = min(DIMENSIONS, features.shape[1] - 1)
    reduced: NDArray[np.float64] = normalize(TruncatedSVD(dimensions, random_state=seed).fit_transform(features))
    return reduced


def _labels(reduced: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import MiniBatchKMeans

    labels: NDArray[np.int64] = MiniBatchKMeans(count, random_state=seed, n_init=3).fit_predict(reduced)
    return labels


def _dots(reduced: NDArray[np.float64], topics: Sequence[int], rng: np.random.Generator) -> list[Dot]:
    """The two directions in which the examples differ most (principal components), of some of them."""
    chosen = np.sort(rng.permutation(len(reduced))[:MOST_DOTS])
    centred = reduced[chosen] - reduced[chosen].mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(chosen), 2))
    flat[:, : len(directions[:2])] = centred @ directions[:2].T
    low, span = flat.min(axis=0), np.ptp(flat, axis=0)
    places = (flat - low) / np.where(span > 0, span, 1)
    return [Dot(round(x, 3), round(y, 3), topics[index]) for (x, y), index in zip(places.tolist(), chosen, strict=True)]


def _topic(features: Any, names: list[str], labels: NDArray[np.int64], sides: Sequence[SplitName], label: int) -> Topic:
    own = np.flatnonzero(labels == label)
    telling = np.asarray(features[own].mean(axis=0) - features.mean(axis=0)).ravel()
    words = [names[place] for place in np.argsort(-telling)[:5]]
    of_side = Counter(sides)
    within = Counter(sides[index] for index in own.tolist())
    shares = {side: within[side] / of_side[side] for side in of_side}
    missing = [side for side in of_side if not within[side]]
    doubt = f"missing in {', '.join(missing)}" if missing else ""
    return Topic(words, len(own), shares, doubt or ("rare" if len(own) < RARE_SHARE * len(labels) else ""))


def _drift(labels: NDArray[np.int64], sources: Sequence[str], rng: np.random.Generator) -> list[Drift]:
    names = np.array(sources)
    drift = []
    for source in sorted(set(sources)) if len(set(sources)) > 1 else ():
        is_own = names == source
        found = _divergence(labels, is_own)
        by_chance = [_divergence(labels, rng.permutation(is_own)) for _ in range(99)]
        drift.append(Drift(source, int(is_own.sum()), found, bool(found <= np.quantile(by_chance, 0.95))))
    return sorted(drift, key=lambda one: -one.divergence)


def _divergence(labels: NDArray[np.int64], is_own: NDArray[np.bool_]) -> float:
    count = int(labels.max()) + 1
    one, other = (np.bincount(labels[part], minlength=count) / part.sum() for part in (is_own, ~is_own))
    middle = (one + other) / 2
    parts = [
        np.where(p > 0, p * np.log2(np.where(p > 0, p, 1) / np.where(middle > 0, middle, 1)), 0) for p in (one, other)
    ]
    return float((parts[0].sum() + parts[1].sum()) / 2)
