"""The figures of two models on the same examples: metric by metric, part by part, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sonneteer.evaluation.ask import Reply
from sonneteer.evaluation.compare import clusters_of, compare
from sonneteer.evaluation.gaps import Scored, gap_over
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import SCORERS, score
from sonneteer.evaluation.significance import holm
from sonneteer.evaluation.verdict import Evidence
from sonneteer.recipe.sections import BY_TOKEN, Recipe
from sonneteer.records import Comparison, Example, Gap

SLICE_TAGS = ("topic", "group")
SMALLEST_SLICE = 5
"""Parts of the test set with fewer examples get no figure of their own."""


class Asked(NamedTuple):
    """The test examples, and what both models said to them."""

    examples: list[Example]
    base: list[Reply]
    tuned: list[Reply]

    @property
    def has_likelihoods(self) -> bool:
        """Whether both models say how likely they find the right answers."""
        return all(reply.likelihood is not None for reply in (*self.base, *self.tuned))

    def against(self, other: list[Reply]) -> Asked:
        """The same with another model in the base model's place."""
        return self._replace(base=other)

    def where(self, chosen: Sequence[int]) -> Asked:
        """The same for some of the examples."""
        parts = ([part[i] for i in chosen] for part in self)
        return Asked(*parts)  # type: ignore[arg-type]  # each part keeps its type


def evidence_of(recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> Evidence:
    """All figures, with Holm's correction over metrics and parts together."""
    comparisons, unavailable = measured(recipe, asked, bootstrap)
    slices = _slices(recipe, asked, bootstrap)
    p_values = {c.metric: c.p_values["randomisation"] for c in comparisons}
    adjusted = holm(p_values | {name: part.p_values["randomisation"] for name, part in slices.items()})
    return Evidence(
        [c.model_copy(update={"adjusted_p_value": adjusted[c.metric]}) for c in comparisons],
        unavailable,
        {name: part.model_copy(update={"adjusted_p_value": adjusted[name]}) for name, part in slices.items()},
    )


def measured(recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> tuple[list[Comparison], dict[str, str]]:
    """Every metric that can be had of both models, and why the others cannot."""
    comparisons, unavailable = [], {}
    for metric in metrics_of(recipe):
        scorer = SCORERS[metric]
        if scorer.needs_likelihood and not asked.has_likelihoods:
            unavailable[metric] = "a model cannot say how likely it finds an answer"
        elif metric in BY_TOKEN and _cut_differently(asked):
            unavailable[metric] = "the two models cut texts into different tokens; bits_per_character compares them"
        elif not any(score(scorer, asked.examples, asked.base).weights):
            unavailable[metric] = "it applies to none of the test examples"
        else:
            comparisons.append(_compare(metric, recipe, asked, bootstrap))
    return comparisons, unavailable


def _cut_differently(asked: Asked) -> bool:
    """Whether the models read the right answers as different numbers of tokens."""
    pairs = [(one.likelihood, two.likelihood) for one, two in zip(asked.base, asked.tuned, strict=True)]
    return any(one and two and one.tokens != two.tokens for one, two in pairs)


def metrics_of(recipe: Recipe) -> list[str]:
    """First those that must be better; then what the evaluation names, and what the other promotion rules need."""
    rules = recipe.promotion
    return list(dict.fromkeys([*rules.better_on, *recipe.evaluation.metrics, *rules.not_worse_on, *rules.floors]))


def _compare(metric: str, recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> Comparison:
    scorer = SCORERS[metric]
    clusters = clusters_of(asked.examples, recipe.data.keep_together)
    base, tuned = (score(scorer, asked.examples, replies) for replies in (asked.base, asked.tuned))
    return compare(metric, scorer, base, tuned, clusters, bootstrap)


def _slices(recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> dict[str, Comparison]:
    """The first promotion metric by topic and group, where a slice has enough examples to say anything."""
    metric = recipe.promotion.better_on[0]
    if SCORERS[metric].needs_likelihood and not asked.has_likelihoods:
        return {}
    slices = {}
    for tag in SLICE_TAGS:
        for value in sorted({example.tags[tag] for example in asked.examples if tag in example.tags}):
            chosen = [i for i, example in enumerate(asked.examples) if example.tags.get(tag) == value]
            part = asked.where(chosen)
            applying = int((score(SCORERS[metric], part.examples, part.base).weights > 0).sum())
            if SMALLEST_SLICE <= applying < len(asked.examples):
                slices[f"{tag}: {value}"] = _compare(metric, recipe, part, bootstrap)
    return slices


def gaps_of(recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> dict[str, Gap]:
    """By tag, whether some of its values gained more than others by the first promotion metric."""
    metric = recipe.promotion.better_on[0]
    scorer = SCORERS[metric]
    if scorer.needs_likelihood and not asked.has_likelihoods:
        return {}
    base, tuned = (score(scorer, asked.examples, replies) for replies in (asked.base, asked.tuned))
    scored = Scored(metric, scorer, base, tuned, clusters_of(asked.examples, recipe.data.keep_together))
    tags = dict.fromkeys((*recipe.promotion.equal_over, "group"))
    told = {tag: gap_over(tag, [e.tags.get(tag) for e in asked.examples], scored, bootstrap) for tag in tags}
    return {tag: gap for tag, gap in told.items() if gap}
