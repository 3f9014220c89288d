"""The backend on this machine: PyTorch, transformers and PEFT."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sonneteer.backends.certify import Forms, Written, check_base, check_files, check_forms, check_rendering, hashes
from sonneteer.data import read_split
from sonneteer.errors import MissingError
from sonneteer.models.adapters import add_adapter, merged, put_on
from sonneteer.models.generate import LocalChat
from sonneteer.models.layers import thaw
from sonneteer.models.load import (
    LanguageModel,
    context_of,
    empty_network,
    fingerprint_of_folder,
    locate,
    open_folder,
    open_model,
    save_model,
    tokenizer_of,
)
from sonneteer.models.proof import probes_of, read_traces, tolerance_of, traces, write_traces
from sonneteer.models.quantise import open_quantised
from sonneteer.models.render import TemplateRenderer
from sonneteer.models.scratch import empty_model, new_model, new_tokenizer
from sonneteer.profile import peak_memory_gb
from sonneteer.progress import Progress
from sonneteer.recipe.sections import Architecture, Recipe
from sonneteer.records import KEPT, Certificate, DatasetVersion, Example, ModelVersion, Run, fingerprint_of
from sonneteer.store import Store, write_whole
from sonneteer.training.fit import fit, material_of, try_rates
from sonneteer.training.lessons import Material
from sonneteer.training.objectives import objective_of
from sonneteer.training.plan import Draft, draft
from sonneteer.training.range_test import RangeTest
from sonneteer.training.rewards import Reward

TRACES, WRITTEN = "traces.safetensors", "written.json"


class LocalBackend:
    """Trains and opens the models of one recipe. `folder` is the recipe's, for relative paths."""

    def __init__(self, recipe: Recipe, folder: Path, store: Store, reward: Reward | None = None) -> None:
        self._recipe = recipe
        self._folder = folder
        self._store = store
        self._reward = reward

    @cached_property
    def fingerprint(self) -> str:
        """Of the base model's files, or of the plan for a new one; of its teacher; and of how it reads."""
        architecture = self._recipe.base.from_scratch
        if architecture is not None:
            base = fingerprint_of(architecture.model_dump(mode="json"))
        else:
            base = fingerprint_of_folder(locate(self._recipe.base.model, self._folder))
        teacher = self._recipe.training.distillation.teacher
        guide = None if teacher is None else fingerprint_of_folder(locate(teacher, self._folder))
        return fingerprint_of([base, self._recipe.training.learn_prompts, guide])

    def renderer(self, examples: Sequence[Example]) -> TemplateRenderer:
        """The base model's own template, as training uses it."""
        architecture = self._recipe.base.from_scratch
        if architecture is None:
            return self._renderer(self._base_tokenizer, context_of(self._empty_base))
        tokenizer = new_tokenizer(_texts(examples), architecture.vocabulary_size)
        return self._renderer(tokenizer, architecture.context)

    def plan(self, dataset: DatasetVersion) -> Draft:
        """What training will take, by formula. Loads no weights."""
        train = read_split(self._store, dataset, "train")
        renderer = self.renderer(train)
        material = self._material(dataset, renderer)
        architecture = self._recipe.base.from_scratch
        network = empty_model(architecture, renderer.tokenizer) if architecture else self._empty_base
        if self._recipe.training.method == "lora":
            add_adapter(network, self._recipe.training, self._recipe.seed)
        else:
            thaw(network, self._recipe.training.layers)
        return draft(network, self._recipe, material)

    def range_test(self, dataset: DatasetVersion, batch_size: int, progress: Progress) -> RangeTest:
        """Which step size suits base and data. Trains for a moment; nothing is kept."""
        train = read_split(self._store, dataset, "train")
        with tempfile.TemporaryDirectory() as folder:
            model = self._starting_model(train, Path(folder))
            material = material_of(
                self._renderer(model.tokenizer, model.context), self._recipe.training.objective, train, []
            )
            objective = objective_of(self._recipe, model, self._folder, self._reward)
            return try_rates(model, self._recipe, objective, material, batch_size, progress)

    def fit(self, dataset: DatasetVersion, run: Run, progress: Progress) -> Run:
        """Train, and leave the result in the run's folder."""
        train = read_split(self._store, dataset, "train")
        validation = read_split(self._store, dataset, "validation")
        model = self._starting_model(train, self._store.folder(run.id))
        progress.note(f"Rendering {len(train) + len(validation)} examples.")
        renderer = self._renderer(model.tokenizer, model.context)
        material = self._material(dataset, renderer)
        objective = objective_of(self._recipe, model, self._folder, self._reward)
        fitted = fit(model, self._recipe, objective, material, self._store.folder(run.id), progress)
        self._keep_traces(model, run, probes_of([*train, *validation]))
        counters, expected = fitted.counters, draft(model.network, self._recipe, material)
        return run.model_copy(
            update={
                "status": "done",
                "ended_at": datetime.now(UTC),
                "seconds": counters.seconds,
                "steps": counters.step,
                "best_step": counters.best_step,
                "averaged_steps": counters.averaged_steps,
                "best_validation_loss": counters.best_loss,
                "first_validation_loss": counters.first_loss,
                "train_loss": counters.train_loss,
                "tokens": counters.tokens,
                "unique_tokens": counters.unique_tokens,
                "learned_tokens": counters.learned_tokens,
                "peak_memory_gb": peak_memory_gb(),
                # a quantised base packs its weights, so that the formula cannot count them any more
                "expected_memory_gb": expected.memory_gb if self._recipe.training.base_weights == "whole" else 0.0,
                "work_tflop": expected.work_tflop * counters.step / expected.tokens.steps,
                "parameters": fitted.parameters,
                "trained_parameters": fitted.trained_parameters,
            }
        )

    def _material(self, dataset: DatasetVersion, renderer: TemplateRenderer) -> Material:
        """What is learned, what watches, and what general data is mixed in."""
        train, validation = (read_split(self._store, dataset, side) for side in KEPT[:2])
        replay = read_split(self._store, dataset, "replay") if "replay" in dataset.splits else []
        return material_of(renderer, self._recipe.training.objective, train, validation, replay)

    def _keep_traces(self, model: LanguageModel, run: Run, probes: Sequence[Example]) -> None:
        """What the certificate will compare with: the trained network's answers, and what was written of it."""
        folder = self._store.folder(run.id)
        write_traces(folder / TRACES, traces(model.network, self._training_renderer(model), probes))
        written = Written(files=hashes(folder / "result"), tolerance=tolerance_of(model.network))
        write_whole(folder / WRITTEN, written.model_dump_json(indent=1).encode())

    def show(self, examples: Sequence[Example], among: Sequence[Example]) -> list[list[tuple[str, bool]]]:
        """For each example its tokens as text, and whether each is learned. `among` are all training examples."""
        renderer = self.renderer(among)
        return [renderer.pieces(example) for example in examples]

    def open(self, model: ModelVersion) -> LocalChat:
        """The trained model; an adapter is merged into its base first, which answers faster."""
        result = self._store.root / model.folder
        if not model.is_adapter:
            return self._chat(open_folder(model.name, result))
        base = open_model(model.base, self._folder)
        network = merged(put_on(base.network, result))
        return self._chat(LanguageModel(model.name, network, base.tokenizer, base.fingerprint))

    def open_base(self, run: Run | None) -> LocalChat:
        """The base model. One from scratch lies with the run that began it."""
        if self._recipe.base.from_scratch is None:
            return self._chat(self._base)
        assert run is not None, "a model from scratch begins with a run"
        return self._chat(open_folder(self._recipe.base.model, self._store.folder(run.id) / "initial"))

    def certify(self, model: ModelVersion, run: Run, dataset: DatasetVersion) -> Certificate:
        """Prove that what is served is what was trained. Raises MissingError where the training left no traces."""
        probes = probes_of(
            [*read_split(self._store, dataset, "train"), *read_split(self._store, dataset, "validation")]
        )
        kept = self._store.folder(run.id) / TRACES
        if not kept.exists():
            raise MissingError(
                f"Run {run.id} kept no traces of its network, so nothing later can be compared with it. Train it again."
            )
        written = Written.model_validate_json((kept.with_name(WRITTEN)).read_text())
        result, opened = self._store.root / model.folder, self.open(model).model
        training = self._training_renderer(self.open_base(run).model)
        served = self._training_renderer(opened)
        files = self._stored(model)
        stored = self._training_renderer(files)
        checks = check_rendering("server", training, served, probes)
        checks += check_rendering("stored files", training, stored, probes)
        checks += check_forms(
            Forms(
                trained=read_traces(kept),
                base=traces(self.open_base(run).model.network, training, probes),
                stored=traces(files.network, stored, probes),
                served=traces(opened.network, served, probes),
            ),
            written.tolerance,
        )
        checks.append(check_files(written.files, hashes(result)))
        checks.append(check_base(model.base_fingerprint, self.fingerprint))
        return Certificate(model_id=model.id, created_at=datetime.now(UTC), checks=tuple(checks), files=hashes(result))

    def _stored(self, model: ModelVersion) -> LanguageModel:
        """The trained model as its files hold it: an adapter beside the base's weights, and its own tokenizer."""
        result = self._store.root / model.folder
        if not model.is_adapter:
            return open_folder(model.name, result)
        base = open_model(model.base, self._folder)
        put_on(base.network, result)
        return LanguageModel(model.name, base.network, tokenizer_of(result), base.fingerprint)

    @property
    def _base_tokenizer(self) -> PreTrainedTokenizerBase:
        return tokenizer_of(locate(self._recipe.base.model, self._folder))

    @property
    def _empty_base(self) -> PreTrainedModel:
        return empty_network(self._recipe.base.model, locate(self._recipe.base.model, self._folder))

    @property
    def _base(self) -> LanguageModel:
        return open_model(self._recipe.base.model, self._folder)

    def _chat(self, model: LanguageModel) -> LocalChat:
        return LocalChat(model, self._recipe.evaluation.batch_size)

    def _starting_model(self, train: list[Example], folder: Path) -> LanguageModel:
        architecture = self._recipe.base.from_scratch
        if architecture is None:
            return self._opened(locate(self._recipe.base.model, self._folder))
        if not (folder / "initial" / "config.json").exists():
            model = self._new_model(architecture, train)
            partial = folder / "initial.partial"
            shutil.rmtree(partial, ignore_errors=True)
            save_model(model, partial)
            partial.rename(folder / "initial")  # whole or not there, whenever the process is killed
        return self._opened(folder / "initial")

    def _opened(self, path: Path) -> LanguageModel:
        """The base model as training holds it."""
        name, weights = self._recipe.base.model, self._recipe.training.base_weights
        return open_folder(name, path) if weights == "whole" else open_quantised(name, path, weights)

    def _new_model(self, architecture: Architecture, train: list[Example]) -> LanguageModel:
        return new_model(self._recipe.base.model, architecture, _texts(train), self._recipe.seed)

    def _training_renderer(self, model: LanguageModel) -> TemplateRenderer:
        return self._renderer(model.tokenizer, model.context)

    def _renderer(self, tokenizer: PreTrainedTokenizerBase, context: int) -> TemplateRenderer:
        window = min(context, self._recipe.data.max_tokens)
        return TemplateRenderer(tokenizer, window, self._recipe.training.learn_prompts)


def _texts(examples: Sequence[Example]) -> list[str]:
    return [message.text for example in examples for message in example.messages]
