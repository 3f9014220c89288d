"""Better, not better, or cannot tell: the promotion rules applied to the figures, with reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from sonneteer.errors import RecipeError
from sonneteer.evaluation.scorers import SCORERS
from sonneteer.recipe.sections import PromotionSettings
from sonneteer.records import Comparison, Verdict


class Judgement(NamedTuple):
    """The verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


def check_metrics(promotion: PromotionSettings) -> None:
    """Raises RecipeError for metrics that do not exist, all at once."""
    problems = []
    for setting, metrics in (("better_on", promotion.better_on), ("not_worse_on", promotion.not_worse_on)):
        for metric in metrics:
            if metric not in SCORERS:
                near = get_close_matches(metric, SCORERS, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(SCORERS)}."
                problems.append(f"promotion.{setting}: there is no metric '{metric}'. {hint}")
    if not promotion.better_on:
        problems.append("promotion.better_on: name at least one metric, or nothing could ever count as better.")
    if problems:
        raise RecipeError(problems)


def judge(comparisons: Sequence[Comparison], unavailable: Mapping[str, str], promotion: PromotionSettings) -> Judgement:
    """Better only if every rule is met with confidence; not better if one is broken with confidence."""
    by_name = {comparison.metric: comparison for comparison in comparisons}
    verdicts, reasons = [], []
    rules = [(metric, 0.0) for metric in promotion.better_on]
    rules += [(metric, -margin) for metric, margin in promotion.not_worse_on.items()]
    for metric, bound in rules:
        if metric not in by_name:
            verdicts.append("cannot tell")
            reasons.append(f"{metric} could not be measured: {unavailable.get(metric, 'no figures')}.")
            continue
        verdict, reason = _rule(by_name[metric], bound)
        verdicts.append(verdict)
        reasons.append(reason)
    overall: Verdict = "better"
    if "not better" in verdicts:
        overall = "not better"
    elif "cannot tell" in verdicts:
        overall = "cannot tell"
    return Judgement(overall, tuple(reasons))


def _rule(comparison: Comparison, bound: float) -> tuple[Verdict, str]:
    """The gain must lie above the bound, its whole interval."""
    gain = comparison.gain
    figures = (
        f"{comparison.metric} went from {comparison.base.value:.4g} to {comparison.tuned.value:.4g}, "
        f"a gain of {gain.value:.4g} (between {gain.low:.4g} and {gain.high:.4g} with confidence)"
    )
    wanted = "above zero" if bound == 0 else f"above {bound:.4g}"
    if gain.low > bound:
        return "better", f"{figures}: the gain is {wanted}, as required."
    if gain.high <= bound:
        return "not better", f"{figures}: the gain is not {wanted}."
    return "cannot tell", f"{figures}: this may be chance. {_examples_needed(comparison, bound)}"


def _examples_needed(comparison: Comparison, bound: float) -> str:
    """An interval shrinks with the square root of the number of examples."""
    gain = comparison.gain
    distance = gain.value - bound
    if distance <= 0 or not math.isfinite(gain.low):
        return "More test examples would tell more, but they may well show no gain."
    factor = ((gain.value - gain.low) / distance) ** 2
    needed = math.ceil(comparison.examples * factor * 1.1)
    return f"About {needed} test examples instead of {comparison.examples} would tell, if the gain is real."
