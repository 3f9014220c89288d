"""What people said becomes rows for the data room and regression cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sonneteer import data, deployments, evaluation, monitoring
from sonneteer.circle import harvested, patterns, watching
from sonneteer.circle.unproven import unproven
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import Recipe
from sonneteer.records import KEPT, DatasetVersion, Feedback, ModelVersion, SplitName
from sonneteer.records.rows import Row
from sonneteer.store import Store

MOST_TOLD = 5


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
    unproven: tuple[str, ...]
    """What is learned though nothing like it is sealed, the most first, and what to collect."""


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
    open_again = [one for one in all_said if one.pattern and not _may_be_learned(one, recipe)]
    gone = [*open_again, *(one for one in all_said if one.opinion == "refused" or one.id in held)]
    exchanges = {one.id: one for one in store.traffic.exchanges(recipe.name)}
    found, lost = (monitoring.harvest(exchanges, each, recipe.training.objective) for each in (said, gone))
    folder = store.root / "harvest" / recipe.name
    with store.writing(f"harvest-{recipe.name}"):
        left = {one.exchange_id for one in gone} - {one.exchange_id for one in said}
        new = harvested.put(folder, found.rows, left, recipe.data)
        evaluation.drop_cases(store, recipe.name, lost.cases)
        evaluation.add_cases(store, recipe.name, found.cases)
    rows: dict[SplitName, list[Row]] = {side: harvested.read(folder / f"{side}.jsonl") for side in KEPT}
    counts = {side: len(kept) for side, kept in rows.items()}
    cases, in_patterns = len(evaluation.read_cases(store, recipe.name)), sum(len(one.rows) for one in suspicious)
    untested = _untested(recipe, store, rows) if rows["train"] else ()
    return Gathered(new, folder, counts, cases, found.held_back, len(suspicious), in_patterns, untested)


def _untested(recipe: Recipe, store: Store, rows: Mapping[SplitName, Sequence[Row]]) -> tuple[str, ...]:
    """What no test can tell of, beside the old examples, which stay on their sides."""
    model = store.get(ModelVersion, deployments.current(store, recipe.name).champion_id)
    dataset = store.get(DatasetVersion, model.dataset_id)
    sealed = data.read_split(store, dataset, "test") if "test" in dataset.splits else []
    found = unproven(rows, {example.tags.get("topic", "") for example in sealed}, recipe.data)
    more = [f"The same holds for {len(found) - MOST_TOLD} more of them."] if len(found) > MOST_TOLD else []
    return (*(one.says(recipe.data.test_share) for one in found[:MOST_TOLD]), *more)


def _may_be_learned(said: Feedback, recipe: Recipe) -> bool:
    if recipe.improvement.needs_approval:
        return said.opinion == "approved"
    return said.opinion != "refused"
