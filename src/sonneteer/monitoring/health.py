"""The health report: what moved since the training, whether by more than chance, and whether to train again."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from sonneteer.groups.mentions import GROUPS
from sonneteer.monitoring import differences
from sonneteer.monitoring.evidence import DAYS, Evidence, evidence
from sonneteer.monitoring.view import Figures, Seen, View
from sonneteer.recipe.sections import MonitoringSettings
from sonneteer.records import Exchange, Feedback, GroupGap, Health, HealthVerdict, Interval, Signal, fingerprint_of

WEEK = timedelta(days=7)
SOON = timedelta(days=1)
"""What is said of an answer within this time counts for the feedback rate: older answers had longer to be judged."""
LARGEST_SAMPLE = 250
"""Places of each week that are compared."""
FEWEST = 100
"""Exchanges in each of two weeks, below which they are not compared."""
FEWEST_OF_A_GROUP = 30
FAR = 0.95
"""A question that is newer than this share of the profile's counts as out of scope."""
LARGEST_PROFILE = 6000
PROFILE_PART, WEEK_PART, GROUP_PART = 0.5, 0.25, 0.25
"""How the chance of a false alarm in a year is spread over the three comparisons; the latter two look every day."""
OF_ANSWERS = ("answer length", "refusals", "confidence")
WATCHED_FOR_GROUPS = ("answer length", "refusals", "disliked")


class Profile(NamedTuple):
    """What the training looked like: a view, and the figures of examples that the view was not fitted on."""

    view: View
    figures: Mapping[str, Figures]


class Traffic(NamedTuple):
    """The exchanges of one version since it was deployed, with what people said, the oldest first."""

    model_id: str
    exchanges: Sequence[Exchange]
    feedback: Sequence[Feedback]


def profile_of(questions: Sequence[str], answered: Sequence[Seen], seed: int) -> Profile:
    """The profile of a training: one half of its questions for the view, the other half to compare with.

    `answered` are the model's own answers to questions it was not trained on.
    """
    drawn = list(questions)
    random.Random(seed).shuffle(drawn)
    half = min(len(drawn) // 2, LARGEST_PROFILE)
    view = View(drawn[:half] or ["nothing"], seed)
    figures = view.signals([Seen(text) for text in drawn[half : 2 * half]])
    of_answers = view.signals(answered)
    return Profile(view, figures | {name: of_answers[name] for name in OF_ANSWERS})


def question_of(exchange: Exchange) -> str:
    """What the user said last."""
    return next((message.text for message in reversed(exchange.prompt.messages) if message.role == "user"), "")


def health_of(profile: Profile, traffic: Traffic, settings: MonitoringSettings, now: datetime, seed: int = 0) -> Health:
    """The report on what was written down until now."""
    rng = np.random.default_rng(seed)
    answered = [exchange for exchange in traffic.exchanges if not exchange.problem]
    live = profile.view.signals(seen(answered, traffic.feedback, now))
    told = {**live, "disliked": _once(answered, live["disliked"])}
    grown = evidence(profile.figures, told, _days(answered), rng, {"disliked": settings.most_disliked})
    weeks = _weeks(answered, now)
    p_values = _p_values(profile.view, answered, live, weeks, WEEK_PART * settings.false_alarm_share / DAYS, rng)
    newest = {name: _there(figures)[-settings.newest :] for name, figures in live.items()}
    signals = tuple(_signals(profile, newest, live, weeks, grown, p_values, settings))
    gaps = tuple(_gaps(answered, live, GROUP_PART * settings.false_alarm_share / DAYS, rng))
    alarm = grown.first_alarm(PROFILE_PART * settings.false_alarm_share)
    verdict: HealthVerdict = (
        "retrain" if any(signal.has_moved for signal in signals) or any(gap.is_found for gap in gaps) else "healthy"
    )
    if verdict == "healthy" and len(answered) < FEWEST:
        verdict = "cannot tell"
    report = Health(
        id="",
        name=answered[-1].name if answered else "",
        model_id=traffic.model_id,
        created_at=now,
        since=answered[0].created_at if answered else None,
        exchanges=len(answered),
        failures=len(traffic.exchanges) - len(answered),
        out_of_scope=_out_of_scope(profile, newest),
        evidence=float(grown.total.max(initial=1.0)),
        enough=1 / (PROFILE_PART * settings.false_alarm_share),
        alarm_after=alarm,
        signals=signals,
        gaps=gaps,
        liked_share=_liked(live["disliked"]),
        verdict=verdict,
        reasons=tuple(_reasons(signals, gaps, len(answered), alarm, verdict)),
    )
    return report.model_copy(update={"id": f"health-{fingerprint_of(report.model_dump(mode='json'))}"})


def seen(exchanges: Sequence[Exchange], feedback: Sequence[Feedback], now: datetime) -> list[Seen]:
    """What the view looks at. Reviewers are not asked: they look at the least sure answers first."""
    said = [one for one in feedback if one.by == "user"]
    opinions = {one.exchange_id: not one.is_good for one in said if one.is_good is not None}
    first: dict[str, datetime] = {}
    for one in said:
        first[one.exchange_id] = min(one.created_at, first.get(one.exchange_id, one.created_at))
    return [
        Seen(
            question_of(one),
            one.answer.text,
            one.confidence,
            opinions.get(one.id),
            None if now - one.created_at < SOON else one.id in first and first[one.id] - one.created_at < SOON,
        )
        for one in exchanges
    ]


def _once(exchanges: Sequence[Exchange], figures: Figures) -> Figures:
    """The first figure of each conversation: what one person says of its turns belongs together."""
    first: dict[str, int] = {}
    for place in np.flatnonzero(np.isfinite(figures)).tolist():
        first.setdefault(exchanges[place].conversation, place)
    places, only = list(first.values()), np.full(len(figures), np.nan)
    only[places] = figures[places]
    return only


def _days(exchanges: Sequence[Exchange]) -> list[int]:
    return [(exchange.created_at - exchanges[0].created_at).days for exchange in exchanges]


def _weeks(exchanges: Sequence[Exchange], now: datetime) -> tuple[list[int], list[int]]:
    """Places of the exchanges of the newest seven days, and of the seven before."""
    ages = [now - exchange.created_at for exchange in exchanges]
    this = [place for place, age in enumerate(ages) if age < WEEK]
    return this, [place for place, age in enumerate(ages) if WEEK <= age < 2 * WEEK]


def _p_values(
    view: View,
    exchanges: Sequence[Exchange],
    live: Mapping[str, Figures],
    weeks: tuple[list[int], list[int]],
    level: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """This week against the last, corrected for the number of figures; nothing where there is too little of either."""
    if min(map(len, weeks)) < FEWEST:
        return {}
    sides = [rng.permutation(week)[:LARGEST_SAMPLE] for week in weeks]
    places = [view.places([question_of(exchanges[place]) for place in side]) for side in sides]
    found = {"topics": differences.p_of_places(places[0], places[1], level / len(live), rng)}
    for name, figures in live.items():
        one, other = (_there(figures[week]) for week in weeks)
        if name != "topics" and min(len(one), len(other)) >= FEWEST_OF_A_GROUP:
            found[name] = differences.p_of_shift(one, other)
    return differences.holm(found)


def _signals(
    profile: Profile,
    newest: Mapping[str, Figures],
    live: Mapping[str, Figures],
    weeks: tuple[list[int], list[int]],
    grown: Evidence,
    p_values: Mapping[str, float],
    settings: MonitoringSettings,
) -> Iterator[Signal]:
    share = PROFILE_PART * settings.false_alarm_share
    is_alarm = grown.first_alarm(share) is not None
    tolerated = {"disliked": settings.most_disliked}
    for name, now in newest.items():
        before = _there(profile.figures[name])
        if not len(now):
            continue
        this, last = (_there(live[name][week]) for week in weeks)
        shift = differences.shift(before, now) if len(before) else None
        since_week = differences.shift(this, last) if name in p_values else 0.0
        leads = name in grown.by_figure and grown.by_figure[name].max() >= 1 / share
        limit = tolerated.get(name)
        is_large = (shift or 0) >= settings.least_shift if limit is None else bool(now.mean() > limit)
        is_sudden = p_values.get(name, 1.0) <= WEEK_PART * settings.false_alarm_share / DAYS
        is_better = limit is not None and since_week > 0 and bool(this.mean() < last.mean())
        yield Signal(
            name=name,
            profile=float(before.mean()) if len(before) else None,
            tolerated=limit,
            now=float(now.mean()),
            shift=shift,
            stability_index=differences.stability_index(before, now) if len(before) else None,
            evidence=float(grown.by_figure[name].max()) if name in grown.by_figure else None,
            last_week=float(last.mean()) if len(last) else None,
            p_value=p_values.get(name),
            has_moved=(is_alarm and leads and is_large)
            or (is_sudden and since_week >= settings.least_shift and not is_better),
        )


def _gaps(
    exchanges: Sequence[Exchange], live: Mapping[str, Figures], level: float, rng: np.random.Generator
) -> Iterator[GroupGap]:
    """Figures of the answers to questions that speak of groups of people."""
    words = [set(re.findall(r"\w+", question_of(exchange).lower())) for exchange in exchanges]
    found: dict[tuple[str, str], dict[str, Figures]] = {}
    for axis, groups in GROUPS.items():
        members = {
            group: np.array([bool(said & names) for said in words], dtype=bool) for group, names in groups.items()
        }
        for figure in WATCHED_FOR_GROUPS:
            held = {group: _there(live[figure][inside]) for group, inside in members.items()}
            enough = {group: values for group, values in held.items() if len(values) >= FEWEST_OF_A_GROUP}
            if len(enough) > 1:
                found[axis, figure] = enough
    share = level / max(len(found), 1)
    p_values = {
        f"{axis}/{figure}": differences.p_of_gap(list(held.values()), rng, share)
        for (axis, figure), held in found.items()
    }
    adjusted = differences.holm(p_values)
    for (axis, figure), held in found.items():
        p_value = adjusted[f"{axis}/{figure}"]
        yield GroupGap(
            axis=axis,
            figure=figure,
            means={group: float(values.mean()) for group, values in held.items()},
            counts={group: len(values) for group, values in held.items()},
            p_value=p_value,
            is_found=p_value <= level,
        )


def _out_of_scope(profile: Profile, newest: Mapping[str, Figures]) -> Interval | None:
    known, now = _there(profile.figures["topics"]), newest["topics"]
    return wilson(int((now > np.quantile(known, FAR)).sum()), len(now)) if len(known) and len(now) else None


def _liked(disliked: Figures) -> Interval | None:
    told = _there(disliked)
    return wilson(int(len(told) - told.sum()), len(told)) if len(told) else None


def wilson(hits: int, count: int) -> Interval:
    """A share with its 95 % interval (Wilson 1927)."""
    share, square = hits / count, 1.96**2
    middle = share + square / (2 * count)
    margin = 1.96 * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    low, high = ((middle + side * margin) / (1 + square / count) for side in (-1, 1))
    return Interval(value=share, low=max(0.0, low), high=min(1.0, high))


def _reasons(
    signals: Sequence[Signal], gaps: Sequence[GroupGap], count: int, alarm: int | None, verdict: HealthVerdict
) -> Iterator[str]:
    for signal in signals:
        if signal.has_moved:
            yield f"{signal.name}: {signal.now:.3g} now, {_before(signal)}"
    for gap in gaps:
        if gap.is_found:
            said = ", ".join(f"{group} {mean:.3g}" for group, mean in gap.means.items())
            yield f"{gap.figure} differs by {gap.axis}: {said} (p = {gap.p_value:.2g})"
    if alarm is not None and not any(signal.has_moved for signal in signals):
        yield f"Something changed after {alarm} exchanges, but no figure has shifted by as much as `least_shift` now."
    if verdict == "cannot tell":
        yield f"Only {count} exchanges were written down so far; with {FEWEST} there is something to tell."


def _before(signal: Signal) -> str:
    if signal.profile is not None:
        return f"{signal.profile:.3g} before (largest shift {signal.shift or 0:.2f})"
    if signal.tolerated is not None and signal.now > signal.tolerated:
        return f"more than the {signal.tolerated:.3g} that the recipe tolerates"
    return f"{signal.last_week or 0:.3g} the week before"


def _there(figures: Figures) -> Figures:
    """Those that there are."""
    there: Figures = figures[np.isfinite(figures)]
    return there
