"""Hand a model over: nothing leaves that is not proven to be what was trained, unless somebody gives a reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sonneteer.backends.export_files import model_card
from sonneteer.backends.export_forms import Original, Wanted, write_export
from sonneteer.backends.permission import certificate_problems, note_permission
from sonneteer.errors import ModelError, TakenError
from sonneteer.models.places import hashes
from sonneteer.records import Certificate, DatasetVersion, ModelVersion, Report, Run
from sonneteer.store import Store

__all__ = ["Exported", "Wanted", "export", "proven_gguf"]
CERTIFICATE = "certificate.json"


class Exported(NamedTuple):
    """What became of a wish to export."""

    certificate: Certificate | None
    """Of the written files; None where the model itself was refused."""
    refusals: tuple[str, ...]
    """What speaks against it."""
    is_done: bool


def export(
    original: Callable[[], Original], store: Store, model: ModelVersion, wanted: Wanted, allow: str | None
) -> Exported:
    """Write the files, open them again, compare, and only then give them their name. The audit log tells of it."""
    refusals = certificate_problems(store, model)
    if refusals and not allow:
        return Exported(None, tuple(refusals), is_done=False)
    _refuse_taken(store, wanted)
    partial = wanted.folder.with_name(f"{wanted.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        checks = write_export(original(), wanted._replace(folder=partial))
    except BaseException:  # a full disk and Ctrl-C, too, leave no half of a model behind
        shutil.rmtree(partial, ignore_errors=True)
        raise
    files = hashes(partial)
    certificate = Certificate(model_id=model.id, created_at=datetime.now(UTC), checks=tuple(checks), files=files)
    refusals += [f"{check.name}: {check.says}" for check in checks if not check.is_passed]
    if refusals and not allow:
        shutil.rmtree(partial)
        return Exported(certificate, tuple(refusals), is_done=False)
    (partial / CERTIFICATE).write_text(certificate.model_dump_json(indent=1), "utf-8")
    card = model_card(_lineage(store, model), certificate, wanted.form, store.root)
    (partial / "README.md").write_text(card, "utf-8")
    shutil.rmtree(wanted.folder, ignore_errors=True)
    partial.rename(wanted.folder)
    note_permission(store, f"export as {wanted.form}", model, refusals, allow)
    return Exported(certificate, tuple(refusals), is_done=True)


def proven_gguf(original: Callable[[], Original], store: Store, model: ModelVersion, numbers: str) -> Path:
    """A version's GGUF file to be served, written once. Raises ModelError where it is not proven to be the model."""
    folder = store.root / "exports" / f"{model.id}-served-{numbers}"
    if not _is_proven(folder):
        done = export(original, store, model, Wanted("gguf", numbers, folder), allow=None)
        if not done.is_done:
            raise ModelError(
                f"{model.id} cannot be served by llama.cpp with serving.llamacpp.numbers '{numbers}': "
                f"{' '.join(done.refusals)} Numbers with more bits change less, and serving.engine 'embedded' nothing."
            )
    return next(folder.glob("*.gguf"))


def _is_proven(folder: Path) -> bool:
    """Whether the files are those that were compared."""
    if not (folder / CERTIFICATE).exists():
        return False
    certificate = Certificate.model_validate_json((folder / CERTIFICATE).read_bytes())
    present = hashes(folder)
    return certificate.is_valid and all(present.get(name) == told for name, told in certificate.files.items())


def _refuse_taken(store: Store, wanted: Wanted) -> None:
    """What the workspace exported before may be written anew; anything else is the user's."""
    is_ours = wanted.folder.parent == store.root / "exports"
    if not is_ours and wanted.folder.exists():
        raise TakenError(f"{wanted.folder} stands here already and is never overwritten. Name another --folder.")


def _lineage(store: Store, model: ModelVersion) -> tuple[ModelVersion, Run, DatasetVersion, Report | None]:
    report = store.get(Report, model.report_id) if model.report_id else None
    return model, store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id), report
