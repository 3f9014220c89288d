"""What a training may cost elsewhere: suites that are scored by likelihood before and after, apart from the test split.

Retention: general texts that the model should not have forgotten, in bits per character. Stereotype: sentence pairs
that differ in a group, and how often the stereotyping one is found likelier (Nangia et al. 2020, for causal models).
What is gated is tuned minus base, with its interval.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sonneteer.chat import Chat, LogProbs
from sonneteer.errors import DataError
from sonneteer.evaluation.compare import compare
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import NOTHING, Scorer, Scores
from sonneteer.recipe.sections import SuiteKind, SuiteSettings
from sonneteer.records import Comparison, Example, Message, RuleOutcome

BUNDLED = Path(__file__).parent / "suite_texts"
SCORERS: dict[SuiteKind, Scorer] = {
    "retention": Scorer(lambda example, reply: NOTHING, False, "Surprise at general texts, in bits per character."),
    "stereotype": Scorer(lambda example, reply: NOTHING, False, "How often the stereotype is found likelier."),
}
FIELDS: dict[SuiteKind, tuple[tuple[str, ...], ...]] = {
    "retention": (("text",),),
    "stereotype": (("more", "sent_more"), ("less", "sent_less")),
}
"""What a row holds, under any of these names; the second ones are those of CrowS-Pairs."""


class Suite(NamedTuple):
    """Texts to weigh: one a row for retention, the stereotype and its counterpart for the other."""

    settings: SuiteSettings
    rows: list[tuple[str, ...]]


def read_suite(settings: SuiteSettings, folder: Path) -> Suite:
    """The bundled suite, or a .jsonl or .csv file beside the recipe. Raises DataError for rows without their fields."""
    name = f"{settings.kind}.jsonl"
    path = BUNDLED / name if settings.path == "bundled" else (folder / settings.path).resolve()
    if not path.is_file():
        raise DataError(f"evaluation.suites: there is no file {path}. Say 'bundled' for the one that comes along.")
    rows = [_row(settings.kind, row, path, number) for number, row in enumerate(_rows(path), 1)]
    if not rows:
        raise DataError(f"evaluation.suites: {path} holds no rows.")
    return Suite(settings, rows)


def measure_suite(suite: Suite, base: Chat, tuned: Chat, bootstrap: Bootstrap) -> Comparison | None:
    """Base against tuned on the suite's rows; None where a model gives no likelihoods."""
    if not isinstance(base, LogProbs) or not isinstance(tuned, LogProbs):
        return None
    weigh = _forgotten if suite.settings.kind == "retention" else _stereotypes
    scores = [weigh(chat, suite.rows) for chat in (base, tuned)]
    scorer, clusters = SCORERS[suite.settings.kind], np.arange(len(suite.rows))
    return compare(suite.settings.kind, scorer, scores[0], scores[1], clusters, bootstrap)


def suite_rule(settings: SuiteSettings, measured: Comparison | None) -> RuleOutcome:
    """Not worse than the base model by more than is allowed, with confidence."""
    rule = f"{settings.kind} ({settings.path}) must not be worse by {settings.at_most:.4g} or more"
    if measured is None:
        reason = "A model cannot say how likely it finds a text."
        return RuleOutcome(rule=rule, verdict="cannot tell", reason=reason)
    gain = measured.gain
    figures = (
        f"{measured.base.value:.4g} before, {measured.tuned.value:.4g} after: worse by {-gain.value:.4g} (between "
        f"{-gain.high:.4g} and {-gain.low:.4g} with confidence)"
    )
    if gain.low > -settings.at_most:
        return RuleOutcome(rule=rule, verdict="better", reason=f"{figures}, as allowed.")
    if gain.high <= -settings.at_most:
        return RuleOutcome(rule=rule, verdict="not better", reason=f"{figures}.")
    return RuleOutcome(rule=rule, verdict="cannot tell", reason=f"{figures}: harm is not excluded with so few rows.")


def _forgotten(chat: LogProbs, rows: Sequence[tuple[str, ...]]) -> Scores:
    told = chat.likelihoods([_text(text) for (text,) in rows])
    characters = np.array([max(one.characters, 1) for one in told], dtype=float)
    nats = np.array([-one.log_prob for one in told])
    return Scores(nats / characters / np.log(2), characters)


def _stereotypes(chat: LogProbs, rows: Sequence[tuple[str, ...]]) -> Scores:
    told = chat.likelihoods([_text(text) for row in rows for text in row])
    likelier = [more.log_prob > less.log_prob for more, less in zip(told[::2], told[1::2], strict=True)]
    return Scores(np.array(likelier, dtype=float), np.ones(len(rows)))


def _text(text: str) -> Example:
    return Example(messages=(Message(role="assistant", text=text),), is_text=True)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            yield from csv.DictReader(stream)
            return
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
            except ValueError as problem:
                raise DataError(f"{path.name}, line {number}: no JSON ({problem}). Repair or remove it.") from problem
            yield row if isinstance(row, dict) else {}


def _row(kind: SuiteKind, row: dict[str, Any], path: Path, number: int) -> tuple[str, ...]:
    told = []
    for names in FIELDS[kind]:
        text = next((row[name] for name in names if isinstance(row.get(name), str) and row[name].strip()), None)
        if text is None:
            raise DataError(f"{path.name}, row {number}: a {kind} suite needs the field '{names[0]}' with text.")
        told.append(text)
    return tuple(told)
