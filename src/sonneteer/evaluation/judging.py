"""A judge says which of two answers is better: a model with a rubric, or people who see the pairs blindly.

A model is asked twice, with the answers in either order, and what depends on the order is a tie (Zheng et al. 2023).
It must first agree with people on the pairs that they labelled, by Cohen's kappa (1960) with its interval.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from sonneteer.chat import Options
from sonneteer.evaluation.ask import Arm, ask
from sonneteer.evaluation.compare import Clusters, compare
from sonneteer.evaluation.intervals import SHARE, Bootstrap, Ends, Values, interval
from sonneteer.evaluation.scorers import Scored, Scorer, Scores
from sonneteer.records import Choice, Example, Interval, Judging, Message

CHOICES: tuple[Choice, ...] = ("base", "tuned", "tie")
LETTER = re.compile(r"\b(A|B|TIE)\b", re.IGNORECASE)
PREFERENCE = Scorer(
    lambda example, reply: Scored(0.0), True, "How often the judge prefers this model's answer.", bounds=SHARE
)
"""Ties count half for each."""


class Pair(NamedTuple):
    """Two answers to one example."""

    example: Example
    base: str
    tuned: str
    confidence: float | None = None
    """How sure the tuned model was of its answer, where it tells."""

    @property
    def is_tuned_first(self) -> bool:
        """In which order people see them: by fingerprint, so that nobody can guess and everybody sees the same."""
        return int(self.example.id[-1], 16) % 2 == 1


class Ballot(NamedTuple):
    """The pairs of a run, and where people's choices are kept."""

    pairs: list[Pair]
    path: Path

    def open_pairs(self) -> list[Pair]:
        """Those that nobody judged yet."""
        known = read_labels(self.path)
        return [pair for pair in self.pairs if pair.example.id not in known]

    def keep(self, pair: Pair, choice: Choice) -> None:
        """One choice, kept at once."""
        write_label(self.path, pair.example.id, choice)


class Ruling(NamedTuple):
    """What a model said of a pair in both orders."""

    base_first: Choice
    tuned_first: Choice

    @property
    def choice(self) -> Choice:
        """What does not depend on the order."""
        return self.base_first if self.base_first == self.tuned_first else "tie"


def ask_judge(judge: Arm, rubric: str, pairs: Sequence[Pair], journal: Path) -> list[Ruling]:
    """What a model says of each pair, in both orders; what it has said before stands in the journal."""
    asked = [_question(rubric, pair.example, pair.base, pair.tuned) for pair in pairs]
    asked += [_question(rubric, pair.example, pair.tuned, pair.base) for pair in pairs]
    said = [
        one.text for one in ask(judge, asked, Options(max_tokens=200), journal, len(asked) or 1, lambda count: None)
    ]
    base_first = [_choice(text, "base", "tuned") for text in said[: len(pairs)]]
    tuned_first = [_choice(text, "tuned", "base") for text in said[len(pairs) :]]
    return [Ruling(*both) for both in zip(base_first, tuned_first, strict=True)]


def judged(
    pairs: Sequence[Pair],
    choices: Mapping[str, Choice],
    people: Mapping[str, Choice],
    clusters: Clusters,
    bootstrap: Bootstrap,
) -> Judging | None:
    """The judge's preference and, where people labelled the same pairs, its agreement with them. None without pairs."""
    known = [i for i, pair in enumerate(pairs) if pair.example.id in choices]
    if not known:
        return None
    told = [choices[pairs[i].example.id] for i in known]
    tuned = np.array([{"base": 0.0, "tie": 0.5, "tuned": 1.0}[choice] for choice in told])
    ones = np.ones(len(known))
    groups = np.unique(clusters[known], return_inverse=True)[1]
    preference = compare("preference", PREFERENCE, Scores(1 - tuned, ones), Scores(tuned, ones), groups, bootstrap)
    both = [i for i in known if pairs[i].example.id in people]
    agreement = None
    if both:
        labels = [(choices[pairs[i].example.id], people[pairs[i].example.id]) for i in both]
        agreement = kappa([a for a, _ in labels], [b for _, b in labels], bootstrap)
    return Judging(
        preference=preference,
        ties=told.count("tie"),
        labelled=len(both),
        kappa=agreement,
        longer_share=_longer_share([pairs[i] for i in known], told),
    )


def kappa(one: Sequence[Choice], other: Sequence[Choice], bootstrap: Bootstrap) -> Interval:
    """Cohen's kappa of two judges on the same pairs: 1 is full agreement, 0 what chance would give."""
    first, second = (np.array([[c == kind for kind in CHOICES] for c in told], dtype=float) for told in (one, other))
    equal = (first * second).sum(1)

    def statistic(draws: Values) -> Values:
        total = draws.sum(-1)
        observed = draws @ equal / total
        expected = ((draws @ first) * (draws @ second)).sum(-1) / total**2
        room = 1 - expected  # none where both always say the same one thing: that shows no skill
        value: Values = np.where(room > 1e-12, (observed - expected) / np.maximum(room, 1e-12), 0.0)
        return value

    by_chance = float(first.mean(0) @ second.mean(0))
    bounds = Ends(-max(1.0, by_chance / max(1 - by_chance, 1e-12)), 1.0)
    return interval(statistic, len(one), bootstrap, bounds)


def order_share(rulings: Sequence[Ruling]) -> float:
    """How often the ruling followed the order of the answers: 0 is unbiased."""
    return sum(ruling.base_first != ruling.tuned_first for ruling in rulings) / max(len(rulings), 1)


def read_labels(path: Path) -> dict[str, Choice]:
    """People's choices by example; the last one counts."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {line["example"]: cast(Choice, line["choice"]) for line in lines if line["choice"] in CHOICES}


def write_label(path: Path, example_id: str, choice: Choice) -> None:
    """Keep one choice at once, so that nothing is lost when the person stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"example": example_id, "choice": choice}) + "\n")


def _longer_share(pairs: Sequence[Pair], told: Sequence[Choice]) -> float | None:
    """How often the preferred answer was the longer one, of the pairs that were decided."""
    decided = [(p, c) for p, c in zip(pairs, told, strict=True) if c != "tie" and len(p.base) != len(p.tuned)]
    if not decided:
        return None
    return sum((len(pair.tuned) > len(pair.base)) == (choice == "tuned") for pair, choice in decided) / len(decided)


def _question(rubric: str, example: Example, first: str, second: str) -> Example:
    asked = "\n".join(f"{message.role}: {message.text}" for message in example.prompt.messages)
    text = (
        f"{rubric}\n\n<conversation>\n{asked}\n</conversation>\n\n<answer_a>\n{first}\n</answer_a>\n\n"
        f"<answer_b>\n{second}\n</answer_b>\n\nSay why in one sentence, and end with one word: A, B or TIE."
    )
    return Example(messages=(Message(role="user", text=text), Message(role="assistant", text="TIE")))


def _choice(said: str, first: Choice, second: Choice) -> Choice:
    """The last verdict in the text; without one, a tie."""
    found = LETTER.findall(said)
    return {"A": first, "B": second}.get(found[-1].upper(), "tie") if found else "tie"
