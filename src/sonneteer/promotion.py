"""Who becomes the champion: only a model that is better, and proven to be the one that was tested."""

from __future__ import annotations

from typing import NamedTuple

from sonneteer import deployments, versions
from sonneteer.backends.permission import certificate_problems, note_permission
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import ModelVersion, Report, Verdict
from sonneteer.store import Store


class Promotion(NamedTuple):
    """What became of a wish to promote."""

    model: ModelVersion
    verdict: Verdict
    refusals: tuple[str, ...]
    """What speaks against it."""
    is_done: bool
    """Whether the wish was fulfilled."""


def promote(loaded: LoadedRecipe, store: Store, allow: str | None = None, id: str | None = None) -> Promotion:
    """Make a version the champion, if report and certificate allow it, or somebody does with a reason.

    Without an `id` it is the newest that was neither refused nor replaced. Running servers take it on at once.
    """
    before = deployments.current(store, loaded.recipe.name).champion_id
    promoted = crown(store, versions.in_question(loaded, store, id), allow)
    if promoted.is_done:
        former = before if before != promoted.model.id else None
        because = allow or "better and certified"
        deployments.deploy(
            store, promoted.model.name, because, champion_id=promoted.model.id, previous_champion_id=former
        )
    return promoted


def crown(store: Store, model: ModelVersion, allow: str | None) -> Promotion:
    """The model becomes the champion and the former one retires. With a reason, whatever speaks against it; the reason
    goes into the audit log."""
    report = store.get(Report, model.report_id) if model.report_id else None
    verdict: Verdict = report.verdict if report else "cannot tell"
    refusals = (*problems_of(report), *certificate_problems(store, model))
    if refusals and not allow:
        return Promotion(model, verdict, refusals, is_done=False)
    with store.writing(f"promotion-{model.name}"):
        former = [one for one in store.find(ModelVersion, name=model.name, stage="champion") if one.id != model.id]
        champion = model.model_copy(update={"stage": "champion"})
        store.save(champion)  # before the others retire: a process that is killed in between leaves no name without one
        for one in former:
            deployments.retire(store, one)
        note_permission(store, "promote", model, refusals, allow)
    return Promotion(champion, verdict, refusals, is_done=True)


def problems_of(report: Report | None) -> list[str]:
    """What speaks against a model: each rule that it breaks, or that nobody has asked."""
    if report is None:
        return ["It was never compared with its base: sonneteer evaluate."]
    if report.verdict == "better":
        return []
    broken = [f"{rule.rule}: {rule.reason}" for rule in report.rules if rule.verdict != "better"]
    return broken or [f"Its verdict is '{report.verdict}'."]
