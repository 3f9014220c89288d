"""Who becomes the champion: only a model that is better, and proven to be the one that was tested."""

from __future__ import annotations

from typing import NamedTuple

from sonneteer.backends.certify import hashes
from sonneteer.privacy import masked
from sonneteer.records import Certificate, ModelVersion, Report, Verdict
from sonneteer.store import Store


class Promotion(NamedTuple):
    """What became of a wish to promote."""

    model: ModelVersion
    verdict: Verdict
    refusals: tuple[str, ...]
    """What speaks against it."""

    @property
    def is_done(self) -> bool:
        """Whether the model is the champion now."""
        return self.model.stage == "champion"


def promote(store: Store, model: ModelVersion, allow: str | None) -> Promotion:
    """The model becomes the champion and the former one retires. With a reason, whatever speaks against it; the reason
    goes into the audit log."""
    report = store.get(Report, model.report_id) if model.report_id else None
    verdict: Verdict = report.verdict if report else "cannot tell"
    refusals = (*_of_report(report), *_of_certificate(store, model))
    if refusals and not allow:
        return Promotion(model, verdict, refusals)
    with store.writing(f"promotion-{model.name}"):
        for former in store.find(ModelVersion, name=model.name, stage="champion"):
            if former.id != model.id:
                store.save(former.model_copy(update={"stage": "retired"}))
        champion = model.model_copy(update={"stage": "champion"})
        store.save(champion)
        _note(store, model, refusals, allow)
    return Promotion(champion, verdict, refusals)


def _of_report(report: Report | None) -> list[str]:
    if report is None:
        return ["It was never compared with its base: sonneteer evaluate."]
    broken = [rule for rule in report.rules if rule.verdict != "better"]
    if report.verdict == "better":
        return []
    return [f"{rule.rule}: {rule.reason}" for rule in broken] or [f"Its verdict is '{report.verdict}'."]


def _of_certificate(store: Store, model: ModelVersion) -> list[str]:
    if model.certificate_file is None:
        return ["Nobody has proven yet that what is served is what was trained: sonneteer certify."]
    certificate = Certificate.model_validate_json(store.path(model.certificate_file).read_bytes())
    problems = [f"{check.name}: {check.says}" for check in certificate.checks if not check.is_passed]
    if hashes(store.root / model.folder) != certificate.files:
        problems.append("Its files have changed since they were certified: sonneteer certify.")
    return problems


def _note(store: Store, model: ModelVersion, refusals: tuple[str, ...], allow: str | None) -> None:
    """One entry of the audit log: what spoke against it, and why somebody allowed it."""
    against = f"; against it: {' '.join(refusals)}" if refusals else ""
    store.note_deed("promote", f"models/{model.id}", masked((f"because: {allow}" if allow else "as proven") + against))
