"""Fit a model to a data set: render, check, train, and leave the best weights in the network."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from sonneteer.errors import DataError, ModelError
from sonneteer.models.adapters import add_adapter, save_adapter
from sonneteer.models.forest import plant
from sonneteer.models.layers import thaw
from sonneteer.models.load import LanguageModel, disk_errors, save_model
from sonneteer.models.logprobs import loss_sum
from sonneteer.models.render import TemplateRenderer
from sonneteer.progress import Progress
from sonneteer.recipe.learning import Objective as ObjectiveName
from sonneteer.recipe.sections import WITHOUT_EFFECT, Recipe, TrainingSettings
from sonneteer.records import Example, PrivacySpent, Rendered, fingerprint_of
from sonneteer.training.checkpoint import Counters
from sonneteer.training.kept_trunk import forget_known, keep_known
from sonneteer.training.learner import Learner
from sonneteer.training.lessons import Material, lessons_of
from sonneteer.training.loop import Training
from sonneteer.training.objectives import Objective
from sonneteer.training.private import PoissonSampler, spent, units_of
from sonneteer.training.range_test import RangeTest, range_test
from sonneteer.training.references import with_references
from sonneteer.training.sampler import Batches, Sampler, sampler_of
from sonneteer.training.watch import Stopwatch, interruptible

TOLERANCE = 1e-3  # relative, float32 sums in another order; a wrong mask is off by far more


class Fitted(NamedTuple):
    """What came out of a training."""

    counters: Counters
    parameters: int
    trained_parameters: int
    check_seconds: float
    privacy: PrivacySpent | None


def material_of(
    renderer: TemplateRenderer,
    objective: ObjectiveName,
    train: Sequence[Example],
    validation: Sequence[Example],
    replay: Sequence[Example] = (),
) -> Material:
    """Render the examples. Raises DataError where nothing at all would be learned."""
    material = Material(
        train=lessons_of(train, renderer, objective),
        validation=lessons_of(validation, renderer, objective),
        names=[f"{example.tags.get('source', 'example')} ({example.id})" for example in (*train, *replay)],
        people=[example.tags.get("person", "") for example in train],
        replay=lessons_of(replay, renderer, objective),
    )
    if not any(lesson.learned_tokens for lesson in material.train):
        raise DataError(f"Nothing would be learned: none of the {len(train)} training examples has a learned token.")
    return material


def fit(
    model: LanguageModel, recipe: Recipe, objective: Objective, material: Material, folder: Path, progress: Progress
) -> Fitted:
    """Train and write the result to `folder / 'result'`: a PEFT adapter, or a whole transformers model.

    Goes on from the newest checkpoint in `folder`. Raises KeyboardInterrupt, everything saved, on Ctrl-C.
    """
    settings = recipe.training
    network, learner, material, check_seconds = _begin(model, recipe, objective, material, folder, progress)
    origin = origin_of(model, recipe, material)
    batches: Batches = sampler_of(material, settings, recipe.seed, settings.epochs)
    budget = None
    if settings.privacy.epsilon is not None:
        material = units_of(material, settings)
        batches = PoissonSampler(len(material.train), settings.batch_size, settings.epochs, recipe.seed)
        budget = learner.promise(material, min(batches.steps, settings.max_steps or batches.steps))
    with interruptible() as interrupt:
        counters = Training(learner, material, batches, folder, progress, origin).go(interrupt)
    forget_known(folder)
    if settings.method == "lora":
        with disk_errors():
            save_adapter(network, folder / "result")
        model.tokenizer.save_pretrained(folder / "result")
    else:
        save_model(model, folder / "result")
    trained = sum(parameter.numel() for _, parameter in learner.trained)
    return Fitted(
        counters,
        sum(p.numel() for p in model.network.parameters()),
        trained,
        check_seconds,
        None if budget is None else spent(budget, settings, counters.step),
    )


class _Begun(NamedTuple):
    network: torch.nn.Module
    """The whole of it, with the adapter if there is one."""
    learner: Learner
    material: Material
    check_seconds: float


def _begin(
    model: LanguageModel, recipe: Recipe, objective: Objective, material: Material, folder: Path, progress: Progress
) -> _Begun:
    """Put the adapter on, prove exactness, and ask the starting model what the objective wants to know of it."""
    settings = recipe.training
    network: torch.nn.Module
    if settings.method == "lora":
        network = add_adapter(model.network, settings, recipe.seed, model.new_ids)
    else:
        network = model.network
        thaw(model.network, settings.layers)
    torch.manual_seed(recipe.seed)
    watch = Stopwatch()
    check_exactness(model.network, settings, material)
    check_seconds = watch.seconds
    learner = Learner(model.network, objective, settings, progress.note)
    if learner.objective.needs_references:
        material = _compared_with_start(learner, material, folder)
    keep_known(learner, material, folder, fingerprint_of(origin_of(model, recipe, material)))
    return _Begun(network, learner, material, check_seconds)


def try_rates(
    model: LanguageModel,
    recipe: Recipe,
    objective: Objective,
    material: Material,
    batch_size: int,
    progress: Progress,
) -> RangeTest:
    """Which step size suits model and material. Spoils the model."""
    with tempfile.TemporaryDirectory() as folder:
        _, learner, material, _ = _begin(model, recipe, objective, material, Path(folder), progress)
    return range_test(learner, material, Sampler(len(material.train), batch_size, 1.0, recipe.seed), progress)


def _compared_with_start(learner: Learner, material: Material, folder: Path) -> Material:
    """What the starting model says. It is still there: a new adapter adds nothing, and no checkpoint is read yet."""
    tokens, network = learner.settings.micro_batch_tokens, learner.network
    with learner.arithmetic():
        train = with_references(network, material.train, tokens, folder / "reference-train.safetensors")
        validation = with_references(network, material.validation, tokens, folder / "reference-validation.safetensors")
    return material._replace(train=train, validation=validation)


def origin_of(model: LanguageModel, recipe: Recipe, material: Material) -> dict[str, Any]:
    """All that decides how the run goes: its settings by name, and the fingerprints of base and examples."""
    settings = recipe.training.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    by_name = {f"training.{name}": value for name, value in settings.items()}
    digest = hashlib.sha256()
    sides = [material.train, material.validation]
    for side in [*sides, material.replay] if material.replay else sides:
        for lesson in side:
            digest.update(json.dumps([lesson.sequences, lesson.labels]).encode())
        digest.update(b"side")
    return by_name | {"seed": recipe.seed, "base model": model.fingerprint, "examples": digest.hexdigest()[:16]}


def check_exactness(network: PreTrainedModel, settings: TrainingSettings, material: Material) -> None:
    """Prove on a few examples that the forest's loss is the plain one. Raises ModelError where it is not."""
    sequences = [sequence for lesson in material.train[:8] for sequence in lesson.sequences]
    sequences = sorted(sequences, key=lambda sequence: len(sequence.ids))[:4]
    network.eval()
    with torch.no_grad():
        shared = float(loss_sum(network, plant(sequences).to(network.device)))
        plain = sum(plain_loss(network, sequence) for sequence in sequences)
    if abs(shared - plain) > TOLERANCE * max(1.0, abs(plain)):
        raise ModelError(
            f"This model's loss is {plain:.4f}, but computed with shared prefixes {shared:.4f}: its layers do "
            "something that prefix sharing cannot reproduce. Choose a Llama-, Qwen-, Mistral-, Gemma- or SmolLM-like "
            "base model."
        )


def plain_loss(network: PreTrainedModel, sequence: Rendered) -> float:
    """Weighted -log p of one sequence through the unmodified transformers forward."""
    ids = torch.tensor([sequence.ids], device=network.device)
    log_probs = network(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    weights = torch.tensor(sequence.weights[1:], device=network.device)
    return float(-(log_probs.gather(1, ids[0, 1:, None])[:, 0] * weights).sum())
