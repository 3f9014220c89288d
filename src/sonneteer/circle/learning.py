"""The next version: what people said becomes data, the model learns it beside the old, and a better one is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sonneteer import data, deployments, evaluation, lifecycle, opening, promotion, versions
from sonneteer.chat import Options
from sonneteer.circle import harvested
from sonneteer.circle.gathering import Gathered, harvest
from sonneteer.errors import MissingError
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import Recipe, SourceSettings
from sonneteer.records import (
    KEPT,
    DatasetVersion,
    Deployment,
    ModelVersion,
    Prompt,
    Report,
    SplitName,
)
from sonneteer.records.rows import row_of
from sonneteer.store import Store

Outcome = Literal["nothing to do", "refused", "on trial"]


class Improvement(NamedTuple):
    """What came of the wish for a better version."""

    outcome: Outcome
    reasons: tuple[str, ...]
    model: ModelVersion | None = None
    report: Report | None = None
    deployment: Deployment | None = None
    dossier: Path | None = None


def improve(loaded: LoadedRecipe, store: Store, progress: Progress) -> Improvement:
    """Train and judge the next version; one that beats the deployed champion goes on trial in the running servers.

    One at a time: raises BusyError where another process is at it.
    """
    with store.writing(f"improve-{loaded.recipe.name}"):
        return _improve(loaded, store, progress)


def _improve(loaded: LoadedRecipe, store: Store, progress: Progress) -> Improvement:
    name, settings = loaded.recipe.name, loaded.recipe.improvement
    deployment = deployments.current(store, name)
    if deployment.phase != "full":
        return Improvement("nothing to do", (f"{deployment.watched_id} is still on trial ({deployment.phase}).",))
    champion = _champion(store, deployment)
    progress.stage("harvesting")
    gathered = harvest(loaded, store)
    learned = sum(gathered.counts.values()) - _learned_before(store, champion)
    if learned < settings.fewest_examples:
        said = f"There are {learned} new examples; improvement.fewest_examples is {settings.fewest_examples}."
        return Improvement("nothing to do", (said, *_where_from(loaded, gathered), *gathered.unproven))
    successor = next_recipe(loaded, store, champion, gathered.folder)
    report = lifecycle.evaluate(successor, store, progress)
    dossier = lifecycle.dossier(successor, store, report)
    model = versions.newest(successor, store)
    refusals = promotion.problems_of(report)
    refusals += _regressions(successor, store, champion, report)
    refusals += overtaken(store, name, champion)
    if not refusals:
        certificate = lifecycle.certify(successor, store, progress, model.id)
        refusals = [f"{check.name}: {check.says}" for check in certificate.checks if not check.is_passed]
    if refusals:
        deployments.retire(store, store.get(ModelVersion, model.id))
        going_on = f"{deployments.current(store, name).champion_id} goes on answering."
        reasons = (*refusals, *gathered.unproven, going_on)
        return Improvement("refused", reasons, model, report, dossier=dossier)
    trial = _put_on_trial(store, loaded.recipe, model)
    return Improvement("on trial", (*report.reasons, *gathered.unproven), model, report, trial, dossier)


def overtaken(store: Store, name: str, champion: ModelVersion) -> list[str]:
    """Why what was compared with this champion cannot take its place: somebody has deployed another one since."""
    now = deployments.current(store, name)
    if now.phase == "full" and now.champion_id == champion.id:
        return []
    other = now.champion_id if now.phase == "full" else now.watched_id
    compared = f"and the new version was compared with {champion.id}"
    return [f"{other} was deployed while this one was made, {compared}: sonneteer improve compares anew."]


def next_recipe(loaded: LoadedRecipe, store: Store, champion: ModelVersion, folder: Path) -> LoadedRecipe:
    """The recipe of the next version: harvested and old examples, the champion to beat, and where to start from."""
    recipe, settings = loaded.recipe, loaded.recipe.improvement
    is_further = settings.start == "champion"
    may_replay = is_further and recipe.training.objective == "imitation" and settings.replay_share > 0
    old = _write_old(store, champion, folder / "old" / champion.dataset_id)
    sources = [*_sources(folder, KEPT), *_sources(old, ("validation", "test"))]
    if may_replay or not is_further:
        sources += _sources(old, ("train",), "replay" if may_replay else "train")
    changes: dict[str, Any] = {
        "data": recipe.data.model_copy(update={"sources": tuple(sources)}),
        "training": recipe.training.model_copy(update={"replay_share": settings.replay_share if may_replay else 0.0}),
        "promotion": recipe.promotion.model_copy(update={"better_than": ("champion",)}),
    }
    if is_further:
        merged = store.root / "merged" / champion.id
        opening.write_merged(loaded, store, champion, merged)
        changes["base"] = recipe.base.model_copy(update={"model": str(merged), "from_scratch": None})
    return loaded._replace(recipe=Recipe.model_validate(recipe.model_copy(update=changes).model_dump()))


def _champion(store: Store, deployment: Deployment) -> ModelVersion:
    champion = store.get(ModelVersion, deployment.champion_id)
    if champion.stage != "champion":
        raise MissingError(
            f"{champion.id} is served, but it is not the champion, so there is nothing to beat. Promote it first: "
            "sonneteer certify, then sonneteer promote."
        )
    return champion


def _where_from(loaded: LoadedRecipe, gathered: Gathered) -> Iterator[str]:
    if gathered.patterns:
        yield f"{gathered.in_patterns} exchanges are held back, because feedback on them is suspiciously alike."
    if gathered.patterns or loaded.recipe.improvement.needs_approval:
        yield f"Only what a reviewer has approved counts: sonneteer review {loaded.path}"
    else:
        yield "They come from corrections and thumbs: POST /v1/feedback, or sonneteer feedback."


def _learned_before(store: Store, champion: ModelVersion) -> int:
    """Harvested rows that the champion's data set was made of, whatever the data room made of them."""
    dataset = store.get(DatasetVersion, champion.dataset_id)
    folder = str(store.root / "harvest")
    return sum(one.rows for one in dataset.sources if one.path.startswith(folder) and "/old/" not in one.path)


def _sources(folder: Path, sides: Iterable[SplitName], as_side: SplitName | None = None) -> list[SourceSettings]:
    """The files of these sides that hold something, for these sides or for another one."""
    found = [(side, folder / f"{side}{kind}.jsonl") for side in sides for kind in ("", "-text")]
    return [SourceSettings(path=str(path), split=as_side or side) for side, path in found if harvested.read(path)]


def _write_old(store: Store, champion: ModelVersion, folder: Path) -> Path:
    """The champion's own examples as files that the data room reads; each stays on its side."""
    dataset = store.get(DatasetVersion, champion.dataset_id)
    sides = {side: data.read_split(store, dataset, side) for side in dataset.splits}
    sides["train"] += sides.pop("replay", [])
    for side, examples in sides.items():
        for kind, is_text in (("", False), ("-text", True)):
            rows = [row_of(example) for example in examples if example.is_text == is_text]
            harvested.write(folder / f"{side}{kind}.jsonl", rows)
    return folder


def _regressions(loaded: LoadedRecipe, store: Store, champion: ModelVersion, report: Report) -> list[str]:
    """What was fixed stays fixed: cases that the champion answers well, asked or not, and the new version does not."""
    bad = {outcome.case_id for outcome in report.cases if not outcome.is_fixed}
    cases = [case for case in evaluation.read_cases(store, loaded.recipe.name) if case.id in bad]
    if not cases:
        return []
    options = Options(max_tokens=loaded.recipe.evaluation.max_answer_tokens)
    prompts = [Prompt(messages=case.prompt) for case in cases]
    said = opening.open_version(loaded, store, champion).answer(prompts, options)
    broken = [case.id for case, old in zip(cases, said, strict=True) if evaluation.is_fixed(case, old.text)]
    if len(broken) <= loaded.recipe.improvement.most_broken_share * len(report.cases):
        return []
    named = ", ".join(broken[:5])
    return [f"regression cases: {len(broken)} of {len(report.cases)} were fixed and are broken again, such as {named}"]


def _put_on_trial(store: Store, recipe: Recipe, model: ModelVersion) -> Deployment:
    settings = recipe.improvement
    if settings.shadow_exchanges:
        return deployments.deploy(store, recipe.name, "better and certified", phase="shadow", candidate_id=model.id)
    trial = {"phase": "canary", "candidate_id": model.id, "canary_share": settings.canary_share}
    return deployments.deploy(store, recipe.name, "better and certified", **trial)
