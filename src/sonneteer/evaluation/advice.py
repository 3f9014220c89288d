"""What to do next, read off the run, its report, the ledger and the search: each with evidence and expected gain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sonneteer.evaluation.learning_curve import WORTH, LearningCurve, learning_curve_of
from sonneteer.evaluation.scorers import SCORERS
from sonneteer.records import Comparison, DatasetVersion, LedgerEntry, Record, Report, Run

CONTRADICTION = "contradict"
BOUNDED = {"exact_match", "normalized_match", "choice_accuracy", "token_accuracy", "json_valid", "json_fields"}
"""Metrics that end at 1."""


class Searched(NamedTuple):
    """What a search with this recipe's name came to."""

    own_loss: float
    best_loss: float
    settings: dict[str, Any]


class Facts(NamedTuple):
    """What there is to read."""

    run: Run
    report: Report | None
    dataset: DatasetVersion
    ledger: Sequence[LedgerEntry]
    searched: Searched | None = None


class Advice(Record):
    """One thing to do."""

    what: str
    evidence: str
    gain: float | None = None
    """What it may gain at most, as share of the present figure; None where nothing tells."""
    places: tuple[str, ...] = ()
    """Rows or questions to look at."""


def advise(facts: Facts) -> list[Advice]:
    """Most promising first; where nothing promises one percent, to stop."""
    found = [*_from_report(facts), *_from_run(facts), *_from_data(facts), *_from_search(facts)]
    ranked = sorted(found, key=lambda one: -math.inf if one.gain is None else one.gain, reverse=True)
    stop = _stop(facts, ranked)
    return [stop, *ranked] if stop else ranked


def _from_report(facts: Facts) -> Iterator[Advice]:
    report = facts.report
    if report is None:
        yield Advice(what="Evaluate it: sonneteer evaluate.", evidence="There is no report of this run yet.")
        return
    yield from _worst_slices(report)
    yield from _curve(learning_curve_of(report, facts.run, facts.dataset))
    if report.verdict == "cannot tell":
        why = next((rule.reason for rule in report.rules if rule.verdict == "cannot tell"), "")
        yield Advice(what="Seal more test examples, or make the gain larger.", evidence=why)
    back = [case for case in report.cases if case.was_fixed and not case.is_fixed]
    if back:
        shown = tuple(case.question for case in back[:3])
        yield Advice(
            what=f"Bring examples like the {len(back)} mended answers that came back.",
            evidence="They were right in an earlier model.",
            gain=len(back) / len(report.cases),
            places=shown,
        )


def _worst_slices(report: Report) -> Iterator[Advice]:
    """Parts of the test set whose figure is worse than that of the whole, and not by chance."""
    wholes = {one.metric: one for one in report.comparisons}
    for name, part in report.slices.items():
        whole = wholes.get(part.metric)
        lack = _lack(part, whole) if whole else 0.0
        if whole is None or lack <= 0:
            continue
        tag, _, value = name.partition(": ")
        worst = sorted((one for one in report.side_by_side if one.tags.get(tag) == value), key=lambda s: s.score_gain)
        yield Advice(
            what=f"Collect examples of {name}.",
            evidence=f"{part.metric} is {part.tuned.value:.4g} on its {part.examples} test examples (between "
            f"{part.tuned.low:.4g} and {part.tuned.high:.4g}), and {whole.tuned.value:.4g} on all.",
            gain=lack * part.examples / whole.examples / abs(whole.tuned.value or 1.0),
            places=tuple(one.prompt[-1].text for one in worst[:3]),
        )


def _lack(part: Comparison, whole: Comparison) -> float:
    """By how much a part is worse than the whole; 0 where its interval holds the whole's figure."""
    if part.tuned.low <= whole.tuned.value <= part.tuned.high:
        return 0.0
    sign = 1 if part.higher_is_better else -1
    return sign * (whole.tuned.value - part.tuned.value)


def _curve(curve: LearningCurve | None) -> Iterator[Advice]:
    """What twice the data would gain."""
    if curve is None:
        return
    if curve.is_flat:
        yield Advice(what="Collect no more of the same: the learning curve is flat.", evidence=curve.says)
    else:
        what = "Collect more examples like those that are there."
        yield Advice(what=what, evidence=curve.says, gain=curve.gain_per_doubling)


def _from_run(facts: Facts) -> Iterator[Advice]:
    run, gap = facts.run, facts.run.generalisation_gap
    loss = run.best_validation_loss
    if loss is None:
        return
    if run.best_step is not None and run.best_step == run.steps:
        evidence = f"The validation loss was lowest at the last of {run.steps} steps, and may fall further."
        yield Advice(what="Train longer: raise training.epochs.", evidence=evidence)
    if gap is None:
        return
    share = gap / loss
    if share > 0.1 and not run.is_gap_by_chance:
        evidence = f"It loses {run.train_loss:.4g} on what it learned and {loss:.4g} on what it did not."
        yield Advice(
            what="Let it learn less by heart: fewer epochs, training.dropout, a smaller rank, or more examples.",
            evidence=evidence,
            gain=share,
        )
    elif share < 0.03:
        evidence = f"It loses {run.train_loss:.4g} on what it learned, and {loss:.4g} on what it did not: the same."
        yield Advice(what="Take a larger base.model, or a larger training.rank.", evidence=evidence)


def _from_data(facts: Facts) -> Iterator[Advice]:
    learned = facts.dataset.splits["train"].examples
    odd = [entry for entry in facts.ledger if any(CONTRADICTION in remark for remark in entry.remarks)]
    if odd:
        yield Advice(
            what=f"Clean {len(odd)} contradictory rows, or set data.clean.contradictions to 'drop'.",
            evidence="They ask the same and are answered in different ways, or bear a label that others contradict.",
            gain=len(odd) / max(learned, 1),
            places=tuple(f"{entry.source}:{entry.row}" for entry in odd[:40]),
        )
    for fate, mend in (("too_long", "raise data.max_tokens"), ("broken", "repair them; `sonneteer ledger` lists them")):
        lost = [entry for entry in facts.ledger if entry.fate == fate]
        if len(lost) > WORTH * facts.dataset.rows:
            yield Advice(
                what=f"Save {len(lost)} rows that are {fate.replace('_', ' ')}: {mend}.",
                evidence=f"They are {len(lost) / facts.dataset.rows:.1%} of all rows.",
                places=tuple(f"{entry.source}:{entry.row}" for entry in lost[:10]),
            )


def _from_search(facts: Facts) -> Iterator[Advice]:
    found = facts.searched
    if found is None:
        yield Advice(
            what="Search for a better learning rate, batch size and rank: sonneteer search.",
            evidence="No search has been made with this recipe.",
        )
        return
    gain = (found.own_loss - found.best_loss) / found.own_loss
    if gain > 0 and any(_setting(facts.run, name) != value for name, value in found.settings.items()):
        said = ", ".join(f"{name}: {value}" for name, value in found.settings.items())
        evidence = f"The search came to a validation loss of {found.best_loss:.4g}, the recipe to {found.own_loss:.4g}."
        yield Advice(what=f"Use the settings that the search found: {said}.", evidence=evidence, gain=gain)


def _setting(run: Run, name: str) -> Any:
    found: Any = run.recipe
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _stop(facts: Facts, ranked: Sequence[Advice]) -> Advice | None:
    """Where the model is as good as its figures can say, or where nothing promises much."""
    report = facts.report
    if report is None or report.verdict != "better":
        return None
    at_end = [one for one in report.comparisons if one.metric in BOUNDED and one.tuned.high >= 1]
    if at_end and all(one.metric in BOUNDED for one in report.comparisons if SCORERS[one.metric].higher_is_better):
        said = ", ".join(f"{one.metric} is {one.tuned.value:.4g}" for one in at_end)
        return Advice(what="Stop here: it is within noise of the ceiling.", evidence=f"{said}, and 1 is the highest.")
    known = [one.gain for one in ranked if one.gain is not None]
    if known and max(known) < WORTH and facts.searched is not None:
        return Advice(
            what="Stop here: it is better than its base, and nothing promises another percent.",
            evidence=f"The most that anything below may gain is {max(known):.1%}.",
        )
    return None
