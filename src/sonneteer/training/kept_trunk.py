"""Whether a run keeps what its frozen lower blocks make of the data, and where."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from sonneteer.models.trunk import can_keep, keep_trunk, size_gb
from sonneteer.recipe.sections import TrainingSettings
from sonneteer.records import Rendered
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Material


def kept_trunk_gb(network: PreTrainedModel, settings: TrainingSettings, material: Material) -> float:
    """What a run keeps on the disk for it; 0 where it keeps nothing."""
    size = _wanted_gb(network, settings, material)
    return size if size <= settings.trunk_cache_gb else 0.0


def keep_known(learner: Learner, material: Material, folder: Path, name: str) -> None:
    """Compute it, or open the file of this name, if only blocks above learn and it fits. Otherwise says so."""
    settings, network = learner.settings, learner.network
    size = _wanted_gb(network, settings, material)
    if size > settings.trunk_cache_gb:
        learner.note(
            f"What the frozen blocks make of the data would take {size:.1f} GB, more than training.trunk_cache_gb, so "
            "it is computed again in each epoch."
        )
    elif size:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"trunk-{name}.{'short' if learner.is_short else 'whole'}"
        with learner.arithmetic():
            learner.trunk = keep_trunk(network, _sequences(material), settings.micro_batch_tokens, path)


def forget_known(folder: Path) -> None:
    """Remove the file when the run is done."""
    for kept in folder.glob("trunk-*"):
        kept.unlink()


def _wanted_gb(network: PreTrainedModel, settings: TrainingSettings, material: Material) -> float:
    """Noise on what is read changes every state, and new answers are drawn in each step with grpo."""
    is_same_each_time = not settings.embedding_noise and settings.objective != "grpo"
    if not settings.trunk_cache_gb or not is_same_each_time or not can_keep(network):
        return 0.0
    return size_gb(network, _sequences(material))


def _sequences(material: Material) -> list[Rendered]:
    lessons = [*material.train, *material.replay, *material.validation]
    return [sequence for lesson in lessons for sequence in lesson.sequences]
