"""Answers that cannot all be right: contradictions between examples that ask the same, and labels that look wrong."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sonneteer.data.candidates import Candidate
from sonneteer.data.questions import LONGEST_LABEL, WORD
from sonneteer.records import Example, fingerprint_of

FEWEST_OF_A_LABEL = 5
LABELLED_SHARE = 0.9
FOLDS = 5
FEATURES = 50_000
HARDLY = 0.01
"""With 5 % of banking77's labels changed at random this finds 96 % of them, and 71 % of what it finds are."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
YES, NO = {"yes", "yeah", "yep", "true", "correct"}, {"no", "nope", "false", "incorrect", "never"}


def contradictory(candidates: Sequence[Candidate]) -> dict[int, str]:
    """By index, examples that ask exactly what another asks and answer differently, with the reason.

    Answers that are labels or short must be equal; of longer ones yes must not meet no, and what says otherwise the
    same must have the same numbers. Other differences are taken for other words for the same.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        alike[candidate.question].append(index)
    found: dict[int, str] = {}
    for indices in alike.values():
        for same in _by_question(candidates, indices) if len(indices) > 1 else ():
            found |= _contradicting(candidates, same)
    return found


def suspicious_labels(candidates: Sequence[Candidate]) -> dict[int, str]:
    """By index, examples whose label a classifier trained on the others contradicts (confident learning).

    Only sources are looked at in which answers are labels: short, few, and each given several times. An example is
    suspicious where its likeliest class is another one, and its own is believed in hardly at all, measured by how
    much examples of that class usually are (the thresholds of Northcutt et al. 2021, arXiv 1911.00068).
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    labels = [candidate.label for candidate in candidates]
    for index, candidate in enumerate(candidates):
        by_source[candidate.source].append(index)
    found: dict[int, str] = {}
    for indices in by_source.values():
        labelled = _labelled(indices, labels)
        if labelled:
            found |= _suspicious([candidates[index] for index in labelled], labelled, labels)
    return found


def _by_question(candidates: Sequence[Candidate], indices: Sequence[int]) -> list[list[int]]:
    """Those of them that ask exactly the same, whatever its case and spaces, and the mark that it ends with."""
    same: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        example = candidates[index].example
        asked = [(message.role, _without_end(message.text)) for message in example.prompt.messages]
        calls = [message.model_dump()["tool_calls"] for message in example.prompt.messages]
        same[example.id if example.is_text else fingerprint_of([asked, calls])].append(index)
    return [alike for alike in same.values() if len(alike) > 1]


def _without_end(text: str) -> str:
    plain = " ".join(text.lower().split())
    return plain.rstrip(" ?.!") or plain


def _contradicting(candidates: Sequence[Candidate], indices: Sequence[int]) -> dict[int, str]:
    """Each that contradicts another one of the first answers: more than a few different ones need no comparing."""
    distinct: dict[str, int] = {}
    answers = {index: candidates[index].example.answer.text for index in indices}
    for index in indices:
        distinct.setdefault(" ".join(WORD.findall(answers[index].lower())), index)
    firsts = list(distinct.values())[:20]
    found = {}
    for index in indices:
        other = next((first for first in firsts if _contradicts(answers[index], answers[first])), None)
        if other is not None:
            found[index] = f"contradicts {candidates[other].place}, which asks the same"
    return found


def _contradicts(one: str, other: str) -> bool:
    words, others = WORD.findall(one.lower()), WORD.findall(other.lower())
    if words == others or not words or not others:
        return False
    if max(len(words), len(others)) <= LONGEST_LABEL:
        return True
    if (words[0] in YES and others[0] in NO) or (words[0] in NO and others[0] in YES):
        return True
    common = len(set(words) & set(others)) / len(set(words) | set(others))
    return common >= 0.5 and set(NUMBER.findall(one)) != set(NUMBER.findall(other))


# Labels ----------------------------------------------------------------------------------------


def _labelled(indices: Sequence[int], labels: Sequence[str]) -> list[int]:
    """Those of a source that bear one of its labels; none where its answers are no labels."""
    counts = Counter(labels[index] for index in indices)
    classes = {label for label, count in counts.items() if label and count >= FEWEST_OF_A_LABEL}
    labelled = [index for index in indices if labels[index] in classes]
    is_classification = len(classes) > 1 and len(labelled) >= LABELLED_SHARE * len(indices)
    return labelled if is_classification else []


def _suspicious(candidates: Sequence[Candidate], indices: Sequence[int], labels: Sequence[str]) -> dict[int, str]:
    names = sorted({labels[index] for index in indices})
    given = np.array([names.index(labels[index]) for index in indices])
    shares = _shares_by_others([_asked(candidate.example) for candidate in candidates], given)
    usual = np.array([shares[given == label, label].mean() for label in range(len(names))])
    likeliest = shares.argmax(axis=1)
    own = shares[np.arange(len(given)), given]
    is_other = (likeliest != given) & (own < HARDLY * usual[given])
    return {
        indices[place]: f"the label looks wrong: a classifier trained on the others says '{names[likeliest[place]]}'"
        for place in np.flatnonzero(is_other).tolist()
    }


def _asked(example: Example) -> str:
    return " ".join(message.text for message in example.prompt.messages if message.role == "user")


def _shares_by_others(texts: Sequence[str], given: NDArray[np.int64]) -> NDArray[np.float32]:
    """The share of belief in each class by naive Bayes over parts of words, from the other folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), min_df=2, max_features=FEATURES, sublinear_tf=True, dtype=np.float32
    )
    shares = np.zeros((len(texts), int(given.max()) + 1), np.float32)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no two texts have a part in common
        return shares
    fold = np.array([int(fingerprint_of(text), 16) % FOLDS for text in texts])
    for held_out in range(FOLDS):
        others, own = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        if len(others) and len(own):
            model = MultinomialNB(alpha=0.1).fit(features[others], given[others])
            shares[np.ix_(own, model.classes_)] = model.predict_proba(features[own])
    return shares
