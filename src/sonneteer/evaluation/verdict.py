"""Better, not better, or cannot tell: the promotion rules applied to the figures, with reasons in plain words.

All rules must be met, so each is tested at the full confidence (Berger 1982): a model that breaks one passes all of
them no more often than it passes that one. Only where one of many may decide, as over the parts of a test set, is
corrected by Holm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import NamedTuple

from sonneteer.errors import RecipeError
from sonneteer.evaluation.scorers import SCORERS
from sonneteer.evaluation.significance import needed
from sonneteer.recipe.sections import EvaluationSettings, PromotionSettings
from sonneteer.records import Comparison, Interval, Judging, RuleOutcome, Verdict


class Evidence(NamedTuple):
    """What the rules are applied to."""

    comparisons: Sequence[Comparison]
    unavailable: Mapping[str, str] = {}
    """Metrics without figures, and why."""
    slices: Mapping[str, Comparison] = {}
    """The first promotion metric on parts of the test set."""
    against: Mapping[str, Sequence[Comparison]] = {}
    """The same metrics against further models."""
    judging: Judging | None = None
    costs: Sequence[RuleOutcome] = ()
    """What the training cost elsewhere, suite by suite."""


class Judgement(NamedTuple):
    """The verdict and why."""

    verdict: Verdict
    rules: tuple[RuleOutcome, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Each rule's reason."""
        return tuple(rule.reason for rule in self.rules)


def check_metrics(promotion: PromotionSettings, shown: Sequence[str] = ()) -> None:
    """Raises RecipeError for metrics that do not exist, all at once."""
    problems = []
    named: dict[str, Iterable[str]] = {
        "evaluation.metrics": shown,
        "promotion.better_on": promotion.better_on,
        "promotion.not_worse_on": promotion.not_worse_on,
        "promotion.floors": promotion.floors,
    }
    for setting, metrics in named.items():
        for metric in metrics:
            if metric not in SCORERS:
                near = get_close_matches(metric, SCORERS, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(SCORERS)}."
                problems.append(f"{setting}: there is no metric '{metric}'. {hint}")
    if not promotion.better_on:
        problems.append("promotion.better_on: name at least one metric, or nothing could ever count as better.")
    if problems:
        raise RecipeError(problems)


def check_arms(promotion: PromotionSettings, settings: EvaluationSettings) -> None:
    """Raises RecipeError for models that must be beaten but do not take part."""
    if promotion.judge_prefers and settings.judge.by is None:
        raise RecipeError("promotion.judge_prefers: nobody judges. Say who does in evaluation.judge.by.")
    names = {external.name for external in settings.externals}
    if settings.judge.by not in {None, "people", *names}:
        raise RecipeError(
            f"evaluation.judge.by: there is no judge '{settings.judge.by}'. Say 'people' or the name of a model in "
            f"evaluation.externals{': ' + ', '.join(sorted(names)) if names else ''}."
        )
    known = {"base", "champion", *(external.name for external in settings.externals)}
    known |= {"few_shot"} if settings.few_shot else set()
    missing = [name for name in promotion.better_than if name not in known]
    if missing or not promotion.better_than:
        raise RecipeError(
            f"promotion.better_than: {', '.join(missing) or 'nobody'} takes no part in the comparison. Part take "
            f"{', '.join(sorted(known))}; few_shot does with evaluation.few_shot, others with evaluation.externals."
        )


def judge(evidence: Evidence, promotion: PromotionSettings, confidence: float) -> Judgement:
    """Better only if every rule is met with confidence; not better if one is broken with confidence."""
    by_name = {comparison.metric: comparison for comparison in evidence.comparisons}
    outcomes = [_beaten(evidence, promotion, name, confidence) for name in promotion.better_than if name != "base"]
    for metric, rule, apply in _rules(promotion, confidence):
        if metric in by_name:
            verdict, reason = apply(by_name[metric])
        else:
            why = evidence.unavailable.get(metric, "no figures")
            verdict, reason = "cannot tell", f"{metric} could not be measured: {why}."
        outcomes.append(RuleOutcome(rule=rule, verdict=verdict, reason=reason))
    if promotion.judge_prefers:
        outcomes.append(_preferred(evidence.judging, promotion.least_kappa, confidence))
    if promotion.slices_not_worse is not None:
        outcomes.append(_over_slices(evidence.slices, promotion.slices_not_worse, confidence))
    outcomes += evidence.costs
    return Judgement(overall([outcome.verdict for outcome in outcomes]), tuple(outcomes))


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """One broken rule outweighs all others; one open question all that are met."""
    if "not better" in verdicts:
        return "not better"
    return "cannot tell" if "cannot tell" in verdicts else "better"


Applied = Callable[[Comparison], tuple[Verdict, str]]


def _rules(promotion: PromotionSettings, confidence: float) -> list[tuple[str, str, Applied]]:
    """Each rule's metric, its words, and how it is applied."""
    rules: list[tuple[str, str, Applied]] = []
    if "base" in promotion.better_than:
        gained = partial(_gained, confidence=confidence)
        rules += [(metric, f"{metric} must be better", gained) for metric in promotion.better_on]
    for metric, margin in promotion.not_worse_on.items():
        words = f"{metric} must not be worse by {margin:.4g} or more"
        rules.append((metric, words, partial(_kept, margin=margin)))
    for metric, floor in promotion.floors.items():
        side = "at least" if metric not in SCORERS or SCORERS[metric].higher_is_better else "at most"
        words = f"{metric} must be {side} {floor:.4g}"
        rules.append((metric, words, partial(_above_floor, floor=floor)))
    return rules


def _beaten(evidence: Evidence, promotion: PromotionSettings, name: str, confidence: float) -> RuleOutcome:
    """Better than a further model on every metric of `better_on`."""
    rule = f"{', '.join(promotion.better_on)} must be better than that of {name}"
    if name == "champion" and name not in evidence.against:
        return RuleOutcome(rule=rule, verdict="better", reason="There is no champion yet, or this model is it.")
    figures = {comparison.metric: comparison for comparison in evidence.against[name]}
    missing = [metric for metric in promotion.better_on if metric not in figures]
    if missing:
        return RuleOutcome(rule=rule, verdict="cannot tell", reason=f"{name} gives no {', '.join(missing)}.")
    told = [_gained(figures[metric], confidence) for metric in promotion.better_on]
    verdict = overall([verdict for verdict, _ in told])
    return RuleOutcome(rule=rule, verdict=verdict, reason=" ".join(reason for v, reason in told if v == verdict))


def _gained(comparison: Comparison, confidence: float) -> tuple[Verdict, str]:
    """The whole interval must lie above zero, and the exact randomisation test must agree."""
    gain, figures = comparison.gain, _figures(comparison)
    chance = comparison.p_values.get("randomisation", 0.0)
    if gain.low > 0 and chance <= 1 - confidence:
        return "better", f"{figures}: the gain is above zero, as required."
    if gain.high <= 0:
        return "not better", f"{figures}: the gain is not above zero."
    return "cannot tell", f"{figures}: this may be chance. {examples_needed(comparison, gain, 0.0)}"


def _kept(comparison: Comparison, margin: float) -> tuple[Verdict, str]:
    """The whole interval must lie above the loss that is allowed."""
    gain, figures = comparison.gain, _figures(comparison)
    if gain.low > -margin:
        return "better", f"{figures}: any loss is less than {margin:.4g}, as required."
    if gain.high <= -margin:
        return "not better", f"{figures}: it lost {margin:.4g} or more."
    return "cannot tell", f"{figures}: a loss of {margin:.4g} is not excluded. " + examples_needed(
        comparison, gain, -margin
    )


def _above_floor(comparison: Comparison, floor: float) -> tuple[Verdict, str]:
    """The tuned model's own interval must lie on the right side of the floor."""
    tuned = comparison.tuned
    sign = 1 if comparison.higher_is_better else -1
    low, high = sorted((sign * (tuned.low - floor), sign * (tuned.high - floor)))
    above = Interval(value=sign * (tuned.value - floor), low=low, high=high)
    figures = f"{comparison.metric} is {tuned.value:.4g} (between {tuned.low:.4g} and {tuned.high:.4g} with confidence)"
    if above.low >= 0:
        return "better", f"{figures}: it keeps the bound of {floor:.4g}, as required."
    if above.high < 0:
        return "not better", f"{figures}: it misses the bound of {floor:.4g}."
    needs = examples_needed(comparison, above, 0.0)
    return "cannot tell", f"{figures}: it may lie on either side of the bound of {floor:.4g}. {needs}"


def _preferred(judging: Judging | None, least_kappa: float, confidence: float) -> RuleOutcome:
    """A judging model decides only if it agrees with people, with confidence."""
    rule = "the judge must prefer the tuned model"
    if judging is None:
        reason = "Nobody has judged yet: sonneteer judge."
    elif judging.by != "people" and judging.kappa is None:
        reason = f"Nobody knows yet whether {judging.by} judges as people do: label some pairs with sonneteer judge."
    elif judging.kappa is not None and judging.kappa.low < least_kappa:
        reason = (
            f"{judging.by} is not shown to judge as people do: Cohen's kappa is {judging.kappa.value:.2f} (between "
            f"{judging.kappa.low:.2f} and {judging.kappa.high:.2f} with confidence) on {judging.labelled} pairs, but "
            f"must be above {least_kappa:.2f}. Label more pairs, or choose another judge."
        )
    else:
        verdict, reason = _gained(judging.preference, confidence)
        return RuleOutcome(rule=rule, verdict=verdict, reason=f"{judging.by}: {reason}")
    return RuleOutcome(rule=rule, verdict="cannot tell", reason=reason)


def _over_slices(slices: Mapping[str, Comparison], margin: float, confidence: float) -> RuleOutcome:
    """Broken by a part whose loss is beyond the margin and holds after Holm's correction for all parts."""
    rule = f"no part of the test set may lose more than {margin:.4g}"
    lost = [
        name
        for name, part in slices.items()
        if part.gain.high < -margin and (part.adjusted_p_value or 0.0) <= 1 - confidence
    ]
    if lost:
        return RuleOutcome(rule=rule, verdict="not better", reason=f"Worse, and not by chance: {', '.join(lost)}.")
    if not slices:
        reason = "The test set has no parts with enough examples: tag them with a topic or a group."
        return RuleOutcome(rule=rule, verdict="cannot tell", reason=reason)
    open_parts = [name for name, part in slices.items() if part.gain.low <= -margin]
    reason = f"None of the {len(slices)} parts is shown to have lost more than {margin:.4g}."
    if open_parts:
        reason += f" With so few examples such a loss is not excluded for {', '.join(open_parts)}."
    return RuleOutcome(rule=rule, verdict="better", reason=reason)


def _figures(comparison: Comparison) -> str:
    gain = comparison.gain
    return (
        f"{comparison.metric} went from {comparison.base.value:.4g} to {comparison.tuned.value:.4g}, "
        f"a gain of {gain.value:z.4g} (between {gain.low:z.4g} and {gain.high:z.4g} with confidence)"
    )


def examples_needed(comparison: Comparison, gain: Interval, bound: float, of: str = "test examples") -> str:
    """How many of them would tell on which side of the bound the gain lies."""
    distance = gain.value - bound
    more = needed(distance, gain.value - gain.low, comparison.examples)
    if more is None:
        return f"More {of} would tell more, but they may well show no gain."
    more = max(more, comparison.examples + 1)
    return f"About {more} {of} instead of {comparison.examples} would tell, if the gain is real."
