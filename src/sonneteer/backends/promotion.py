"""Who becomes the champion: only a model that is better, and proven to be the one that was tested."""

from __future__ import annotations

from typing import NamedTuple

from sonneteer.backends.permission import certificate_problems, note_permission
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


def promote(store: Store, model: ModelVersion, allow: str | None) -> Promotion:
    """The model becomes the champion and the former one retires. With a reason, whatever speaks against it; the reason
    goes into the audit log."""
    report = store.get(Report, model.report_id) if model.report_id else None
    verdict: Verdict = report.verdict if report else "cannot tell"
    refusals = (*_of_report(report), *certificate_problems(store, model))
    if refusals and not allow:
        return Promotion(model, verdict, refusals, is_done=False)
    with store.writing(f"promotion-{model.name}"):
        for former in store.find(ModelVersion, name=model.name, stage="champion"):
            if former.id != model.id:
                store.save(former.model_copy(update={"stage": "retired"}))
        champion = model.model_copy(update={"stage": "champion"})
        store.save(champion)
        note_permission(store, "promote", model, refusals, allow)
    return Promotion(champion, verdict, refusals, is_done=True)


def _of_report(report: Report | None) -> list[str]:
    if report is None:
        return ["It was never compared with its base: sonneteer evaluate."]
    broken = [rule for rule in report.rules if rule.verdict != "better"]
    if report.verdict == "better":
        return []
    return [f"{rule.rule}: {rule.reason}" for rule in broken] or [f"Its verdict is '{report.verdict}'."]
