"""The search from beginning to end: trials, control, finalists, the choice, and the recipe that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sonneteer.errors import DataError
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import DatasetVersion, fingerprint_of
from sonneteer.search.choose import best_settings, choose, train_again
from sonneteer.search.found import SearchReport
from sonneteer.search.report import attempts_of, importance_of
from sonneteer.search.space import own_settings, space_of
from sonneteer.search.trials import Hunt, Place, Trainer


def find_settings(
    loaded: LoadedRecipe, dataset: DatasetVersion, train: Trainer, place: Place, progress: Progress
) -> SearchReport:
    """Search, or go on with the search that `place` keeps.

    Raises RecipeError where the search space cannot be, and DataError without validation examples.
    """
    recipe, settings = loaded.recipe, loaded.recipe.search
    if not dataset.splits["validation"].examples:
        raise DataError(
            "Trials are compared by validation loss, and there are no validation examples. "
            "Set data.validation_share above 0."
        )
    space = space_of(recipe)
    own = own_settings(recipe, space)
    hunt = Hunt(settings, space, place, train, recipe.seed)
    study = hunt.go(own, _teller(progress, "searching"))
    control = None
    if settings.control:
        by_chance = settings.model_copy(update={"sampler": "random"})
        control = hunt._replace(settings=by_chance, place=place._replace(name=f"{place.name}, by chance"))
    drawn = control.go(own, _teller(progress, "searching by chance")) if control else None
    seeds = [recipe.seed + number for number in range(settings.seeds)]
    progress.stage("training the finalists")
    proposals = best_settings(study, settings.finalists)
    finalists = train_again(proposals, seeds, train, progress.update, settings.processes)
    return SearchReport(
        name=recipe.name,
        dataset_id=dataset.id,
        created_at=datetime.now(UTC),
        attempts=attempts_of(study),
        control=attempts_of(drawn) if drawn else (),
        importance=importance_of(study),
        finalists=tuple(finalists),
        chosen=choose(finalists),
        own=own,
    )


def study_name(loaded: LoadedRecipe, dataset: DatasetVersion, base_fingerprint: str) -> str:
    """The same recipe, data and base is the same search; more trials go on with it."""
    recipe = loaded.recipe
    asked = [recipe.search.ranges, recipe.search.choices, recipe.training.model_dump(mode="json"), recipe.seed]
    return f"{recipe.name}-{fingerprint_of([asked, dataset.id, base_fingerprint])}"


def _teller(progress: Progress, stage: str) -> Callable[[int, int, float | None], None]:
    progress.stage(stage)

    def tell(done: int, total: int, best: float | None) -> None:
        figures: Mapping[str, Any] = {} if best is None else {"validation_loss": best}
        progress.update(done, total, figures)

    return tell
