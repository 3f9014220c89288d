"""What a training takes by formula alone, before any weight is loaded: tokens, memory, work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from sonneteer.models.hardware import is_short
from sonneteer.recipe.sections import Recipe, TrainingSettings
from sonneteer.records import Record, Rendered
from sonneteer.training import footprint
from sonneteer.training.footprint import Sizes, sizes_of
from sonneteer.training.kept_trunk import kept_trunk_gb
from sonneteer.training.lessons import Lesson, Material, parts
from sonneteer.training.objectives.preference import Dpo
from sonneteer.training.objectives.unpaired import Kto
from sonneteer.training.sampler import Sampler, sampler_of

LIBRARIES_GB = 0.6  # PyTorch and its companions before any model is open; a card holds none of it
MOST_BATCHES = 128  # an epoch of more is measured by so many of its batches


class Tokens(Record):
    """What an epoch holds, and what one step computes at once."""

    naive: int
    """Tokens of an epoch as a plain trainer computes them, padding aside."""
    unique: int
    """Tokens of an epoch that are computed here: a beginning that examples of a micro-batch share counts once."""
    learned: int
    largest: int
    """Unique tokens in the largest micro-batch."""
    steps: int
    """Steps of the whole run, unless it stops early."""
    epoch_steps: int
    replayed: int = 0
    """General examples in an epoch, against forgetting."""
    grouped_sharing: float | None = None
    """What `sharing` would be if examples that begin alike came together, half a batch of them; None where they do."""

    @property
    def sharing(self) -> float:
        """How many times fewer tokens are computed than a plain trainer would."""
        return self.naive / max(self.unique, 1)

    @property
    def epochs(self) -> float:
        """How often the data is seen."""
        return self.steps / self.epoch_steps


class Draft(Record):
    """What a training takes by formula alone."""

    tokens: Tokens
    parameters: int
    trained_parameters: int
    opening_gb: float = 0.0
    """While the base, and a teacher, are opened."""
    fixed_gb: float
    """Weights, gradients, optimizer and libraries."""
    teacher_gb: float = 0.0
    """Of these the teacher's, or the starting model's that an anchor holds on to."""
    row_gb: float
    """What one more unique token in a micro-batch takes."""
    recomputed_row_gb: float
    """The same where blocks are computed once more in the backward pass."""
    sampling_gb: float = 0.0
    """What drawing answers takes beside the weights, where the objective draws any."""
    work_tflop: float
    """Floating-point operations of all steps and validations, in 10^12."""
    recomputed_tflop: float
    """What computing blocks once more adds."""
    checkpoint_gb: float
    """Disk that the checkpoints, the best weights and the result take."""

    def memory_gb(self, recomputes: bool = False) -> float:
        """Memory at the peak."""
        rows = self.tokens.largest * (self.recomputed_row_gb if recomputes else self.row_gb)
        return max(self.opening_gb, self.fixed_gb + max(rows, self.sampling_gb))

    def work(self, recomputes: bool = False) -> float:
        """All of the work, in 10^12 operations."""
        return self.work_tflop + (self.recomputed_tflop if recomputes else 0.0)


class Networks(NamedTuple):
    """What takes part: what learns, and a teacher. They may be without weights."""

    learner: PreTrainedModel
    teacher: PreTrainedModel | None
    device: torch.device
    """Where they will be."""


class _Setting(NamedTuple):
    """What the formulas are applied to."""

    sizes: Sizes
    teacher: Sizes | None
    settings: TrainingSettings
    is_short: bool
    is_card: bool


def draft(networks: Networks, recipe: Recipe, material: Material) -> Draft:
    """The formula's estimate. What will be trained of the learner requires gradients."""
    settings = recipe.training
    sizes = sizes_of(networks.learner)
    one = _Setting(
        sizes,
        sizes_of(networks.teacher) if networks.teacher is not None else None,
        settings,
        is_short(settings.precision, networks.device),
        networks.device.type == "cuda",
    )
    planned = as_learned(material, settings)
    tokens = count_tokens(planned, settings, recipe.seed)
    kept_gb = kept_trunk_gb(networks.learner, settings, material)
    return Draft(
        tokens=tokens,
        parameters=sizes.parameters,
        trained_parameters=sizes.trained,
        checkpoint_gb=_disk_gb(sizes, settings) + kept_gb,
        work_tflop=_work(one, planned, tokens, kept_gb > 0) / 1e12,
        recomputed_tflop=2 * tokens.epochs * tokens.unique * (sizes.trunk - sizes.below) / 1e12,
        **{name: size / 1e9 for name, size in _memory(one).items()},
        sampling_gb=_sampling(one, planned, recipe.evaluation.batch_size) / 1e9,
    )


def count_tokens(material: Material, settings: TrainingSettings, seed: int) -> Tokens:
    """Plan the batches as the sampler will, and count. Long epochs are measured by evenly spread batches."""
    sampler = sampler_of(material, settings, seed, settings.epochs)
    epoch = sampler_of(material, settings, seed, epochs=1.0)
    shared = _shared(material, epoch, settings)
    total = _naive(material.train) + round(_mean(_naive(material.replay), material.replay) * epoch.replayed)
    learned = round(_mean(_learned(material.replay), material.replay) * epoch.replayed)
    return Tokens(
        naive=total,
        unique=round(total / shared.times),
        learned=_learned(material.train) + learned,
        largest=shared.largest,
        steps=min(sampler.steps, settings.max_steps or sampler.steps),
        epoch_steps=epoch.steps,
        replayed=epoch.replayed,
        grouped_sharing=_grouped_sharing(material, settings, seed),
    )


class _Shared(NamedTuple):
    times: float
    largest: int


def _shared(material: Material, epoch: Sampler, settings: TrainingSettings) -> _Shared:
    """How many times fewer tokens are computed, by evenly spread batches of an epoch; and the largest micro-batch."""
    unique, naive, largest = 0, 0, 0
    for step in range(1, epoch.steps + 1, max(1, epoch.steps // MOST_BATCHES)):
        batch = [part for lesson in material.lessons(epoch.batch(step)) for part in _apart(lesson, settings)]
        for part in parts(batch, settings.micro_batch_tokens, torch.device("cpu")):
            unique, naive = unique + part.forest.unique_tokens, naive + part.forest.naive_tokens
            largest = max(largest, part.forest.unique_tokens)
    return _Shared(naive / unique, largest)


def _grouped_sharing(material: Material, settings: TrainingSettings, seed: int) -> float | None:
    """What `training.prefix_group` would do, where it is not used."""
    group = settings.batch_size // 2
    if settings.prefix_group > 1 or group < 2:
        return None
    grouped = settings.model_copy(update={"prefix_group": group})
    return _shared(material, sampler_of(material, grouped, seed, epochs=1.0), settings).times


def _mean(total: int, lessons: Sequence[Lesson]) -> float:
    return total / max(len(lessons), 1)


def _learned(lessons: Sequence[Lesson]) -> int:
    return sum(lesson.learned_tokens for lesson in lessons)


def as_learned(material: Material, settings: TrainingSettings) -> Material:
    """The lessons as a step learns them. Answers that will be drawn are taken as long as they may be, no two alike."""
    if settings.objective == "kto":  # the last sequence of each is only read, see `Kto.ready`
        return material._replace(
            train=[_without_last(lesson) for lesson in material.train],
            replay=[_without_last(lesson) for lesson in material.replay],
        )
    if settings.objective != "grpo":
        return material
    reward = settings.reward
    return material._replace(
        train=[_drawn(one, reward.answers, reward.max_answer_tokens) for one in material.train],
        validation=[_drawn(one, 1, reward.max_answer_tokens) for one in material.validation],
        replay=[_drawn(one, reward.answers, reward.max_answer_tokens) for one in material.replay],
    )


def _without_last(lesson: Lesson) -> Lesson:
    return lesson._replace(sequences=lesson.sequences[:-1])


def _drawn(lesson: Lesson, answers: int, length: int) -> Lesson:
    ids, weights = lesson.sequences[0]
    prompt = next((i for i, weight in enumerate(weights) if weight), len(ids))
    weights = [0.0] * prompt + [1.0] * length
    return lesson._replace(sequences=[Rendered([*ids[:prompt], *[-1 - k] * length], weights) for k in range(answers)])


def _apart(lesson: Lesson, settings: TrainingSettings) -> list[Lesson]:
    """Objectives that look at single sequences need not have an example's sequences in one micro-batch."""
    if settings.objective in ("imitation", "distillation"):
        return [Lesson([sequence]) for sequence in lesson.sequences]
    return [lesson]


def _memory(one: _Setting) -> dict[str, float]:
    sizes, settings = one.sizes, one.settings
    libraries = 0.0 if one.is_card else LIBRARIES_GB * 1e9
    teacher = one.teacher.parameters * footprint.FLOAT if one.teacher else 0.0
    beside = teacher + footprint.anchor_bytes(sizes, settings)
    weights = footprint.weight_bytes(sizes, settings, one.is_short)
    trained = footprint.trained_bytes(sizes, settings, one.is_short)
    guides = [guide for guide in (one.teacher, sizes if settings.anchor else None) if guide]
    head = footprint.head_bytes(sizes, settings, bool(guides))
    passing = max((footprint.passing_bytes(guide) for guide in guides), default=0.0)
    return {
        "opening_gb": libraries + footprint.loaded_bytes(sizes, settings) + teacher,
        "fixed_gb": libraries + weights + trained + beside + head,
        "teacher_gb": beside,
        "row_gb": footprint.row_bytes(sizes, settings, one.is_short, recomputes=False) + passing,
        "recomputed_row_gb": footprint.row_bytes(sizes, settings, one.is_short, recomputes=True) + passing,
    }


def _disk_gb(sizes: Sizes, settings: TrainingSettings) -> float:
    """Two checkpoints and one being written, the best weights, the result, and what is averaged in the end."""
    moments = 1 if settings.optimizer == "muon" else 2
    return sizes.trained * footprint.FLOAT / 1e9 * (3 * (1 + moments) + 2 + settings.averaged_checkpoints)


def _sampling(one: _Setting, planned: Material, batch_size: int) -> float:
    """The cache of the longest answers that are drawn at the same time, and their logits."""
    if one.settings.objective != "grpo":
        return 0.0
    longest = max(len(sequence.ids) for lesson in (*planned.train, *planned.replay) for sequence in lesson.sequences)
    token = footprint.cache_bytes(one.sizes, one.is_short)
    return batch_size * (longest * token + 3 * footprint.FLOAT * one.sizes.vocabulary)


def _work(one: _Setting, planned: Material, tokens: Tokens, keeps_trunk: bool) -> float:
    """Two operations a weight and token forwards; as many for the gradient of the inputs, and of trained weights."""
    settings, sizes = one.settings, one.sizes
    forward = _pass(sizes, tokens.unique, tokens.learned)
    lower = 2 * tokens.unique * sizes.below  # forwards alone, and where it is kept only once
    epoch = (forward - lower) * (3 if settings.method == "full" else 2) + (0.0 if keeps_trunk else lower)
    epoch += forward if settings.anchor else 0.0
    epoch += _pass(one.teacher, tokens.unique, tokens.learned) if one.teacher else 0.0
    if settings.objective == "grpo":  # each answer reads its question anew
        epoch += _pass(sizes, tokens.naive, tokens.learned)
    validations = 1 + tokens.steps // (settings.validate_every or max(1, tokens.steps // 8))
    shared = _naive(planned.validation) / tokens.sharing
    learned = _naive(planned.validation) * tokens.learned / max(tokens.naive, 1)
    watched = _pass(sizes, shared, learned) - (2 * shared * sizes.below if keeps_trunk else 0.0)
    watched += _pass(one.teacher, shared, learned) if one.teacher else 0.0
    compared = forward + watched if _compares_with_start(settings) else 0.0
    return tokens.epochs * epoch + (lower if keeps_trunk else 0.0) + validations * watched + compared


def _compares_with_start(settings: TrainingSettings) -> bool:
    """Whether the starting model reads all examples once before the first step."""
    if settings.objective == "dpo":
        return Dpo(settings.preference).needs_references
    return settings.objective == "kto" and Kto.needs_references


def _pass(sizes: Sizes, tokens: float, learned: float) -> float:
    """One pass forwards; the output layer computes the learned rows alone."""
    return 2 * (tokens * sizes.trunk + learned * sizes.head)


def _naive(lessons: Sequence[Lesson]) -> int:
    return sum(len(sequence.ids) for lesson in lessons for sequence in lesson.sequences)
