"""The audit of what a model remembers of single training examples, and the promotion rules on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from sonneteer.chat import Chat, LogProbs, TokenLogProbs
from sonneteer.errors import RecipeError
from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.canaries import exposures
from sonneteer.evaluation.extraction import extract
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.membership import membership
from sonneteer.evaluation.personal import personal_data
from sonneteer.recipe.sections import EvaluationSettings, Recipe
from sonneteer.records import Example, Interval, Memorisation, RuleOutcome

FIGURES = {
    "exposure": "bits of exposure of the canaries that were planted least often",
    "extracted": "share of training answers that go on word for word, minus that of test answers",
    "membership": "area under the curve of the attack with a reference model",
    "personal": "share of answers with personal data that the question did not hold",
}
"""What `promotion.most_memorised` may bound."""


class Audited(NamedTuple):
    """Whom the audit is of, and what it has of them."""

    base: Chat
    tuned: Chat
    learned: Sequence[Example]
    """The training split."""
    held_out: Sequence[Example]
    """The test examples, and what both models said to them."""
    base_replies: Sequence[Reply]
    tuned_replies: Sequence[Reply]


def audit(recipe: Recipe, audited: Audited, bootstrap: Bootstrap) -> Memorisation | None:
    """All that the recipe asks for. None where it asks for nothing."""
    wanted = recipe.evaluation.memorisation
    if not recipe.evaluation.is_audited:
        return None
    base, tuned, confidence = audited.base, audited.tuned, bootstrap.confidence
    found: dict[str, object] = {}
    missing: dict[str, str] = {}
    if wanted.canaries and isinstance(base, LogProbs) and isinstance(tuned, LogProbs):
        found["exposures"] = tuple(exposures(base, tuned, wanted, recipe.seed, bootstrap))
    elif wanted.canaries:
        missing["canaries"] = "a model cannot say how likely it finds an answer"
    if wanted.extraction:
        drawn = extract(base, tuned, audited.learned, audited.held_out, wanted.extraction, confidence)
        found["extraction"] = drawn
        missing |= {} if drawn else {"extraction": "no answer on one of the two sides is long enough"}
    if wanted.membership and isinstance(base, TokenLogProbs) and isinstance(tuned, TokenLogProbs):
        learned, held_out = (_first(side, wanted.membership) for side in (audited.learned, audited.held_out))
        attacks = tuple(membership(base, tuned, learned, held_out, confidence))
        found["memberships"] = attacks
        missing |= {} if attacks else {"membership": "there are too few training or test examples"}
    elif wanted.membership:
        missing["membership"] = "a model cannot say how likely it finds single tokens"
    if wanted.personal:
        replies = audited.base_replies, audited.tuned_replies
        found["personal"] = personal_data(audited.held_out, *replies, audited.learned, recipe.privacy, confidence)
    return Memorisation.model_validate({**found, "unavailable": missing})


def _first(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many conversations, by their fingerprints."""
    return sorted((example for example in examples if not example.is_text), key=lambda example: example.id)[:most]


def check_limits(limits: Mapping[str, float], settings: EvaluationSettings) -> None:
    """Raises RecipeError for a figure that does not exist, or that nobody measures."""
    measured = {
        "exposure": bool(settings.memorisation.canaries),
        "extracted": bool(settings.memorisation.extraction),
        "membership": bool(settings.memorisation.membership),
        "personal": settings.memorisation.personal,
    }
    for name in limits:
        if name not in FIGURES:
            near = get_close_matches(name, FIGURES, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(FIGURES)}."
            raise RecipeError(f"promotion.most_memorised: there is no figure '{name}'. {hint}")
        if not measured[name]:
            setting = {"exposure": "canaries", "extracted": "extraction"}.get(name, name)
            raise RecipeError(
                f"promotion.most_memorised.{name}: nothing measures it. Set evaluation.memorisation.{setting}."
            )


def memorisation_rules(found: Memorisation | None, limits: Mapping[str, float]) -> list[RuleOutcome]:
    """Each bounded figure must be at most its limit, with confidence."""
    return [_rule(name, None if found is None else _figure(found, name), limit) for name, limit in limits.items()]


def _figure(found: Memorisation, name: str) -> Interval | None:
    if name == "exposure":
        return found.exposures[0].tuned if found.exposures else None
    if name == "extracted":
        return found.extraction.excess if found.extraction else None
    if name == "personal":
        return found.personal.tuned if found.personal else None
    return next((one.auc for one in found.memberships if one.attack == "reference"), None)


def _rule(name: str, figure: Interval | None, limit: float) -> RuleOutcome:
    rule = f"memorisation: {name} must be at most {limit:.4g}"
    if figure is None:
        return RuleOutcome(rule=rule, verdict="cannot tell", reason=f"{name} could not be measured.")
    said = f"The {FIGURES[name]}: {figure.value:.3g} (between {figure.low:.3g} and {figure.high:.3g} with confidence)"
    if figure.high <= limit:
        return RuleOutcome(rule=rule, verdict="better", reason=f"{said}, at most {limit:.4g}, as required.")
    if figure.low > limit:
        return RuleOutcome(rule=rule, verdict="not better", reason=f"{said}: more than {limit:.4g}.")
    return RuleOutcome(rule=rule, verdict="cannot tell", reason=f"{said}: it may lie on either side of {limit:.4g}.")
