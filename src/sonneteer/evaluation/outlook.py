"""What a test set can show, before any model is asked: the smallest gain that it would find, four times out of five."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sonneteer.evaluation.compare import clusters_of
from sonneteer.evaluation.significance import detectable, detectable_share, spent_confidence
from sonneteer.recipe.sections import Recipe
from sonneteer.records import Detectable, Example, Report

CHANGED_SHARE = 0.2
RIGHT_OR_WRONG = {"exact_match", "normalized_match", "choice_accuracy", "json_valid", "preference_accuracy"}


def outlook(
    recipe: Recipe, examples: Sequence[Example], past: Report | None, openings: int = 0
) -> tuple[Detectable, ...]:
    """For each metric that must be better. `past` is the newest report of this recipe's name; the test split has been
    opened so many times before."""
    asked = [example for example in examples if not example.is_text]
    asked = sorted(asked, key=lambda example: example.id)[: recipe.evaluation.max_examples]
    clusters = len(set(clusters_of(asked, recipe.data.keep_together).tolist())) if asked else 0
    if clusters < 2:
        return ()
    confidence = spent_confidence(recipe.evaluation.confidence, openings + 1)
    return tuple(_of(metric, clusters, confidence, past) for metric in recipe.promotion.better_on)


def _of(metric: str, clusters: int, confidence: float, past: Report | None) -> Detectable:
    known = {one.metric: one for one in past.comparisons} if past else {}
    if metric in known and past is not None and known[metric].detectable:
        before = known[metric]
        assert before.detectable is not None
        spread = before.detectable / detectable(1.0, before.clusters, past.confidence)
        gain, basis = detectable(spread, clusters, confidence), f"by the spread in {past.id}"
        if math.isfinite(gain):
            return Detectable(metric=metric, gain=gain, clusters=clusters, basis=basis)
    if metric in RIGHT_OR_WRONG:
        basis = f"if the training changes whether {CHANGED_SHARE:.0%} of the answers are right"
        gain = detectable_share(clusters, CHANGED_SHARE, confidence)
        return Detectable(metric=metric, gain=gain, clusters=clusters, basis=basis)
    gain = detectable(1.0, clusters, confidence)
    basis = "no report tells yet how much the two models differ from example to example"
    return Detectable(metric=metric, gain=gain, is_in_deviations=True, clusters=clusters, basis=basis)
