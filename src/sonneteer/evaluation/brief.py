"""The dossier's first page: the verdict, three reasons, three risks, and what a thousand answers cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonneteer.records import Comparison, Record, Report, RuleOutcome, Run
from sonneteer.store.prices import HOURS_A_MONTH, Prices

MOST = 3
LEARNED_BY_HEART = 0.1
"""Share of the loss from which a generalisation gap is a risk worth naming."""


class Managed(Record):
    """What the same answers cost at somebody else's API."""

    name: str
    per_thousand: float
    break_even: float | None
    """Answers a month from which the own machine, running all the time, is cheaper; None where it cannot manage as
    many."""


class Costs(Record):
    """What a thousand answers cost, by measured time and tokens and by the user's prices."""

    seconds: float
    """Measured time of an answer, many written at the same time."""
    per_thousand: float | None
    """On this machine while it is busy; None without a price."""
    most_per_month: float
    """Answers that this machine manages in a month."""
    managed: tuple[Managed, ...]
    currency: str


class Brief(Record):
    """What the first page says."""

    reasons: tuple[str, ...]
    risks: tuple[str, ...]
    costs: Costs | None
    """None where nobody measured how long an answer takes."""


def brief_of(report: Report, run: Run, limits: Sequence[str], prices: Prices | None) -> Brief:
    """The page's content."""
    risks = [*_risks(report, run), *limits]
    return Brief(
        reasons=_reasons(report), risks=tuple(risks[:MOST]), costs=costs_of(report, prices) if prices else None
    )


def _reasons(report: Report) -> tuple[str, ...]:
    """Those rules first that made the verdict; then the others."""
    deciding = [rule for rule in report.rules if rule.verdict == report.verdict]
    others = [rule for rule in report.rules if rule.verdict != report.verdict]
    told = [_plain(rule) for rule in [*deciding, *others]] or list(report.reasons)
    return tuple([*told, *_besides(report)][:MOST])


def _besides(report: Report) -> Iterator[str]:
    """What no rule asks for, and what was measured all the same."""
    for name, figures in report.against.items():
        for one in figures[:1]:
            compared = f"{_words(one.metric)} is {one.tuned.value:.3g}, and {one.base.value:.3g} for {_arm(name)}"
            yield f"{compared}: {_told(one)}."
    asked = " ".join(rule.rule for rule in report.rules)
    for one in report.comparisons:
        if one.metric not in asked:
            yield f"{_words(one.metric)} went from {one.base.value:.3g} to {one.tuned.value:.3g}: {_told(one)}."


def _told(one: Comparison) -> str:
    if one.gain.low > 0:
        return "better"
    return "worse" if one.gain.high < 0 else "no difference is shown"


def _arm(name: str) -> str:
    return {"few_shot": "the base model with examples in its prompt", "champion": "the champion"}.get(name, name)


def _words(metric: str) -> str:
    return metric.replace("_", " ").capitalize()


def _plain(rule: RuleOutcome) -> str:
    outcome = {"better": "Met", "not better": "Broken", "cannot tell": "Open"}[rule.verdict]
    return f"{outcome}: {rule.reason.replace('_', ' ')}"


def _risks(report: Report, run: Run) -> Iterator[str]:
    """What was measured and speaks against it, the gravest first."""
    back = [case for case in report.cases if case.was_fixed and not case.is_fixed]
    if back:
        yield f"Bad answers that an earlier model had mended are back: {len(back)} of {len(report.cases)}."
    for one in report.against.get("few_shot", ())[:1]:
        if one.gain.low <= 0:
            yield "The base model with examples in its prompt may do as well: perhaps no training was needed."
    worse = [name for name, part in report.slices.items() if part.gain.high < 0]
    if worse:
        yield f"It is worse than its base on {', '.join(worse[:MOST])}."
    for name, suite in report.suites.items():
        if suite.gain.high < 0:
            yield f"It lost something elsewhere: {name} went from {suite.base.value:.3g} to {suite.tuned.value:.3g}."
    gap, loss = run.generalisation_gap, run.best_validation_loss
    if gap is not None and loss and gap > LEARNED_BY_HEART * loss and not run.is_gap_by_chance:
        yield f"It learned by heart: its loss is {run.train_loss:.3g} on what it learned, {loss:.3g} on other examples."
    unsure = [name for name, part in report.slices.items() if part.gain.low < 0 <= part.gain.high]
    if unsure:
        yield f"With so few examples nobody can tell whether {', '.join(unsure[:MOST])} became worse."


def costs_of(report: Report, prices: Prices) -> Costs | None:
    """By the time and tokens that the evaluation measured of the tuned model."""
    usage = report.usage
    if usage is None or not usage.seconds:
        return None
    hourly = prices.serving_price
    most = HOURS_A_MONTH * 3600 / usage.seconds
    managed = []
    for name, one in prices.managed.items():
        cost = one.cost(usage.prompt_tokens, usage.answer_tokens)
        if cost is None:
            continue
        even = None if hourly is None or not cost else hourly * HOURS_A_MONTH / cost
        rounded = None if even is None or even > most else float(f"{even:.3g}")
        managed.append(Managed(name=name, per_thousand=1000 * cost, break_even=rounded))
    return Costs(
        seconds=usage.seconds,
        per_thousand=None if hourly is None else hourly * usage.seconds / 3.6,
        most_per_month=float(f"{most:.3g}"),
        managed=tuple(managed),
        currency=prices.currency,
    )
