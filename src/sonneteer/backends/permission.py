"""Whether a model may leave the workshop: what its certificate says, and what somebody allowed nevertheless."""

from __future__ import annotations

from collections.abc import Sequence

from sonneteer.models.places import hashes
from sonneteer.privacy import masked
from sonneteer.records import Certificate, ModelVersion
from sonneteer.store import Store


def certificate_problems(store: Store, model: ModelVersion) -> list[str]:
    """What speaks against a model: it has no certificate, a broken one, or other files than were certified."""
    if model.certificate_file is None:
        return [f"Nobody has proven yet that what is served is what was trained: sonneteer certify --model {model.id}."]
    certificate = Certificate.model_validate_json(store.path(model.certificate_file).read_bytes())
    problems = [f"{check.name}: {check.says}" for check in certificate.checks if not check.is_passed]
    if hashes(store.root / model.folder) != certificate.files:
        problems.append(f"Its files have changed since they were certified: sonneteer certify --model {model.id}.")
    return problems


def note_permission(
    store: Store, action: str, model: ModelVersion, refusals: Sequence[str], reason: str | None
) -> None:
    """Write into the audit log what was done, and where something spoke against it, who allowed it why."""
    against = f"; against it: {' '.join(refusals)}" if refusals else ""
    store.note_deed(action, f"models/{model.id}", masked((f"because: {reason}" if reason else "as proven") + against))
