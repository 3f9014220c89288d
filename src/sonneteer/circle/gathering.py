"""What people said becomes rows for the data room and regression cases."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sonneteer import evaluation, monitoring
from sonneteer.circle import harvested, patterns, watching
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import Recipe
from sonneteer.records import KEPT, Feedback, SplitName
from sonneteer.store import Store


class Gathered(NamedTuple):
    """What was harvested, now and before."""

    new: int
    """Rows and cases that were not there before."""
    folder: Path
    counts: dict[SplitName, int]
    cases: int
    held_back: int
    """Corrections with masked personal data, which a reviewer has to write anew."""
    patterns: int
    """Patterns that wait for a reviewer."""
    in_patterns: int
    """Exchanges that are held back with them."""


def harvest(loaded: LoadedRecipe, store: Store) -> Gathered:
    """Turn what people said into rows for the data room and regression cases. They stay when the exchanges go.

    What is refused now, or held back with a pattern, goes even if it was harvested before.
    """
    recipe = loaded.recipe
    watching.forget_old(loaded, store)
    suspicious = patterns.waiting(loaded, store)
    held = {one.id for pattern in suspicious for one in pattern.feedback}
    all_said = store.traffic.feedback(recipe.name)
    said = [one for one in all_said if _may_be_learned(one, recipe) and one.id not in held]
    gone = [one for one in all_said if one.opinion == "refused" or one.id in held]
    exchanges = {one.id: one for one in store.traffic.exchanges(recipe.name)}
    found, lost = (monitoring.harvest(exchanges, each, recipe.training.objective) for each in (said, gone))
    folder = store.root / "harvest" / recipe.name
    with store.writing(f"harvest-{recipe.name}"):
        left = {one.exchange_id for one in gone} - {one.exchange_id for one in said}
        new = harvested.put(folder, found.rows, left, recipe.data)
        evaluation.drop_cases(store, recipe.name, lost.cases)
        evaluation.add_cases(store, recipe.name, found.cases)
    counts: dict[SplitName, int] = {side: len(harvested.read(folder / f"{side}.jsonl")) for side in KEPT}
    cases, in_patterns = len(evaluation.read_cases(store, recipe.name)), sum(len(one.rows) for one in suspicious)
    return Gathered(new, folder, counts, cases, found.held_back, len(suspicious), in_patterns)


def _may_be_learned(said: Feedback, recipe: Recipe) -> bool:
    if recipe.improvement.needs_approval:
        return said.opinion == "approved"
    return said.opinion != "refused"
