"""Whether it can be told that an example was learned from: attacks by likelihood, with their error rates.

Loss (Yeom et al. 2018), loss by compressed size and loss less that of a reference model (Carlini et al. 2021), and the
least likely tokens alone (Min-K %, Shi et al. 2024, arXiv 2310.16789). The base model is the reference. A classifier
that sees the words and no model must fail: where it does not, the two sides differ, and the attacks measure that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sonneteer.chat import TokenLogProbs
from sonneteer.evaluation.shares import Values, auc, clopper_pearson
from sonneteer.records import Example, Membership

LEAST_LIKELY_SHARE = 0.2
FALSE_ALARMS = 0.01
FEWEST_OTHERS = 100  # to know a rate of one in a hundred
FEWEST = 20
FOLDS = 5


class _Seen(NamedTuple):
    """An example as an attacker sees it."""

    text: str
    tuned: Values
    """Log-probability of each token of the answer."""
    base: Values


ATTACKS: dict[str, Callable[[_Seen], float]] = {
    "loss": lambda seen: float(seen.tuned.mean()),
    "compressed": lambda seen: float(seen.tuned.sum()) / len(zlib.compress(seen.text.encode())),
    "least likely tokens": lambda seen: _least_likely(seen.tuned),
    "reference": lambda seen: float(seen.tuned.mean() - seen.base.mean()),
}
"""Each gives a higher score to what it takes for learned."""
WORDS_ALONE = "words alone"


def membership(
    base: TokenLogProbs,
    tuned: TokenLogProbs,
    learned: Sequence[Example],
    held_out: Sequence[Example],
    confidence: float,
) -> list[Membership]:
    """Every attack on as many learned as unlearned examples. Empty where there are too few."""
    count = min(len(learned), len(held_out))
    if count < FEWEST:
        return []
    sides = [sorted(side, key=lambda example: example.id)[:count] for side in (learned, held_out)]
    members, others = (_seen(base, tuned, side) for side in sides)
    found = [
        _measured(name, np.array([attack(s) for s in members]), np.array([attack(s) for s in others]), confidence)
        for name, attack in ATTACKS.items()
    ]
    blind = _words_alone([seen.text for seen in members], [seen.text for seen in others])
    return [*found, _measured(WORDS_ALONE, *blind, confidence)]


def _seen(base: TokenLogProbs, tuned: TokenLogProbs, examples: Sequence[Example]) -> list[_Seen]:
    both = zip(examples, tuned.token_log_probs(examples), base.token_log_probs(examples), strict=True)
    return [_Seen(example.answer.text, np.array(ours), np.array(before)) for example, ours, before in both]


def _least_likely(log_probs: Values) -> float:
    count = max(1, round(LEAST_LIKELY_SHARE * len(log_probs)))
    return float(np.sort(log_probs)[:count].mean())


def _measured(attack: str, members: Values, others: Values, confidence: float) -> Membership:
    caught = None
    if len(others) >= FEWEST_OTHERS:
        allowed = int(FALSE_ALARMS * len(others))
        threshold = np.sort(others)[::-1][allowed]  # so many others lie above it
        caught = clopper_pearson(int((members > threshold).sum()), len(members), confidence)
    return Membership(attack=attack, auc=auc(members, others, confidence), caught=caught)


def _words_alone(members: Sequence[str], others: Sequence[str]) -> tuple[Values, Values]:
    """Scores of a classifier that was trained on other folds of the same two sides."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    labels = np.array([1] * len(members) + [0] * len(others))
    features = TfidfVectorizer(sublinear_tf=True).fit_transform([*members, *others])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(LogisticRegression(), features, labels, cv=folds, method="decision_function")
    return scores[labels == 1], scores[labels == 0]
