"""The backend on this machine: PyTorch, transformers and PEFT."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sonneteer.backends.attached_checks import check_attached, unmade
from sonneteer.backends.bases import as_one, base_of
from sonneteer.backends.certify import (
    Known,
    Written,
    check_base,
    check_change,
    check_files,
    check_form,
    check_rendering,
    same_model,
)
from sonneteer.backends.engine_checks import Reference
from sonneteer.backends.export_forms import Original
from sonneteer.backends.foresight import foresee, surroundings
from sonneteer.backends.served import ServedVersions
from sonneteer.backends.served_checks import check_served
from sonneteer.backends.starting import Starting, texts_of
from sonneteer.backends.vllm import VllmVersions
from sonneteer.backends.vocabulary import Texts, VocabularyReport, bits_of, vocabulary_report
from sonneteer.data import read_split
from sonneteer.errors import ExtraError, MachineError, MissingError, ModelError
from sonneteer.evaluation import planted
from sonneteer.models.adapters import put_on
from sonneteer.models.generate import LocalChat
from sonneteer.models.hardware import forget_peak, leave_the_card, peak_gb
from sonneteer.models.load import LanguageModel, device, open_folder, open_model, save_model, tokenizer_of
from sonneteer.models.places import hashes
from sonneteer.models.proof import (
    FLOAT32,
    Trace,
    distance,
    probes_of,
    read_traces,
    tolerance_of,
    traces,
    write_traces,
)
from sonneteer.models.render import TemplateRenderer
from sonneteer.progress import Progress
from sonneteer.recipe.sections import Recipe
from sonneteer.records import KEPT, Certificate, Check, DatasetVersion, Example, ModelVersion, Run
from sonneteer.store import Store, write_whole
from sonneteer.training.fit import fit, material_of, try_rates
from sonneteer.training.lessons import Material
from sonneteer.training.objectives import objective_of
from sonneteer.training.plan import Plan, as_planned, refuse
from sonneteer.training.range_test import RangeTest
from sonneteer.training.rewards import Reward

TRACES, WRITTEN = "trained-traces.safetensors", "written.json"


class LocalBackend:
    """Trains and opens the models of one recipe. `folder` is the recipe's, for relative paths."""

    def __init__(self, recipe: Recipe, folder: Path, store: Store, reward: Reward | None = None) -> None:
        self._recipe = recipe
        self._folder = folder
        self._store = store
        self._reward = reward
        self._starting = Starting(recipe, folder)

    @property
    def fingerprint(self) -> str:
        """Of the base model, whatever new words it gets."""
        return self._starting.fingerprint

    def renderer(self, examples: Sequence[Example]) -> TemplateRenderer:
        """How the base model reads; the data room counts with it."""
        return self._starting.renderer_of_base(examples)

    def vocabulary(self, dataset: DatasetVersion, model: ModelVersion | None) -> VocabularyReport:
        """How many tokens the base model takes for the texts, which words would save most, and what it brings."""
        train, validation = (read_split(self._store, dataset, side) for side in KEPT[:2])
        texts = Texts(texts_of(train), texts_of(validation))
        report = vocabulary_report(self._starting.tokenizer, self._starting.vocabulary(train), texts)
        if model is None or not self._recipe.base.vocabulary.is_wanted:
            return report
        chats = {
            "base": lambda: self._chat(self._starting.base()),
            "base with the new tokens": lambda: self._chat(self._start(train, self._store.folder(model.run_id))),
            "tuned": lambda: self.open(model),
        }
        return report.model_copy(update={"bits_per_character": bits_of(chats, validation)})

    def plan(self, dataset: DatasetVersion, processes: int = 1) -> Plan:
        """What each of so many trainings at once will take. Loads no weights."""
        train = read_split(self._store, dataset, "train")
        beginning = self._starting.beginning(train)
        around = surroundings(self._store, processes=processes)
        material = self._material(dataset, beginning.renderer)
        return foresee(self._recipe, self._folder, beginning, material, around).plan

    def range_test(self, dataset: DatasetVersion, batch_size: int, progress: Progress) -> RangeTest:
        """Which step size suits base and data. Trains for a moment; nothing is kept."""
        train = read_split(self._store, dataset, "train")
        with tempfile.TemporaryDirectory() as folder:
            beginning = self._starting.beginning(train)
            model = self._starting.model(beginning, Path(folder))
            material = material_of(self._training_renderer(model), self._recipe.training.objective, train, [])
            objective = objective_of(self._recipe, model, self._folder, self._reward)
            return try_rates(model, self._recipe, objective, material, batch_size, progress)

    def fit(self, dataset: DatasetVersion, run: Run, progress: Progress) -> Run:
        """Train, and leave the result in the run's folder."""
        train = read_split(self._store, dataset, "train")
        validation = read_split(self._store, dataset, "validation")
        folder = self._store.folder(run.id)
        progress.note(f"Rendering {len(train) + len(validation)} examples.")
        beginning = self._starting.beginning(train, folder)
        material = self._material(dataset, beginning.renderer)
        foreseen = foresee(self._recipe, self._folder, beginning, material, surroundings(self._store, folder))
        refuse(foreseen.plan, self._recipe.training)
        forget_peak(device())
        model = self._starting.model(beginning, folder)
        objective = objective_of(self._recipe, model, self._folder, self._reward)
        fitted = fit(model, as_planned(self._recipe, foreseen.plan), objective, material, folder, progress)
        self._keep_traces(model, run, probes_of([*train, *validation]))
        counters = fitted.counters
        return run.model_copy(
            update={
                "status": "done",
                "ended_at": datetime.now(UTC),
                "seconds": counters.seconds,
                "check_seconds": fitted.check_seconds,
                "privacy": fitted.privacy,
                "steps": counters.step,
                "best_step": counters.best_step,
                "averaged_steps": counters.averaged_steps,
                "best_validation_loss": counters.best_loss,
                "first_validation_loss": counters.first_loss,
                "train_loss": counters.train_loss,
                "gap_interval": counters.gap,
                "tokens": counters.tokens,
                "unique_tokens": counters.unique_tokens,
                "learned_tokens": counters.learned_tokens,
                "peak_memory_gb": peak_gb(model.device),
                "expected_memory_gb": foreseen.memory_gb,
                "work_tflop": foreseen.tflop_per_step * counters.step,
                "parameters": fitted.parameters,
                "trained_parameters": fitted.trained_parameters,
            }
        )

    def _material(self, dataset: DatasetVersion, renderer: TemplateRenderer) -> Material:
        """What is learned, what watches, and what general data is mixed in."""
        train, validation = (read_split(self._store, dataset, side) for side in KEPT[:2])
        train += planted(self._recipe.evaluation.memorisation, self._recipe.seed)
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
        renderer = self._starting.beginning(among).renderer
        return [renderer.pieces(example) for example in examples]

    def open(self, model: ModelVersion) -> LocalChat:
        """The trained model, whole."""
        return self._chat(as_one(model, self._store, self._folder))

    def write_merged(self, model: ModelVersion, target: Path) -> None:
        """Write a trained model as plain files, its adapter merged: what a further training can start from."""
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            save_model(self.open(model).model, partial)
            partial.rename(target)  # whole or not there, whenever the process is killed

    def open_base(self, run: Run | None) -> LocalChat:
        """The base model. One from scratch lies with the run that began it."""
        if self._recipe.base.from_scratch is None:
            return self._chat(self._starting.base())
        assert run is not None, "a model from scratch begins with a run"
        return self._chat(open_folder(self._recipe.base.model, self._store.folder(run.id) / "initial"))

    def certify(self, model: ModelVersion, run: Run, dataset: DatasetVersion) -> Certificate:
        """Prove that what is served is what was trained. Raises MissingError where the training left no traces."""
        train = read_split(self._store, dataset, "train")
        probes = probes_of([*train, *read_split(self._store, dataset, "validation")])
        kept = self._store.folder(run.id) / TRACES
        if not kept.exists():
            raise MissingError(
                f"Run {run.id} kept no traces of its network, so nothing later can be compared with it. Train it again."
            )
        written = Written.model_validate_json((kept.with_name(WRITTEN)).read_text())
        trained, files = read_traces(kept), hashes(self._store.root / model.folder)
        training, base = self._seen(self._start(train, self._store.folder(run.id)), probes)
        renderer, stored = self._seen(self._stored(model), probes)
        known = Known(probes, training, trained, stored, written.tolerance)
        checks = check_rendering("stored files", training, renderer, probes)
        name = "the stored model is the one that was trained"
        checks += [same_model(name, distance(trained, stored), written.tolerance), check_change(base, trained)]
        if model.is_adapter:
            renderer, whole = self._seen(self.open(model).model, probes)
            checks += check_rendering("merged", training, renderer, probes)
            checks += check_form("the merged model", known, lambda one: distance(one, whole), FLOAT32)
        checks += [check_files(written.files, files), check_base(model.base_fingerprint, self.fingerprint)]
        checks += self._check_served(model, known)
        checks += self._check_vllm(model, known) if self._recipe.serving.engine == "vllm" else []
        return Certificate(model_id=model.id, created_at=datetime.now(UTC), checks=tuple(checks), files=files)

    def _check_served(self, model: ModelVersion, known: Known) -> list[Check]:
        """As our own engine answers, which is let go before another one is started."""
        with ServedVersions(self._recipe.serving, self._store, self._folder) as versions:
            chat = versions.open(model)
            return check_served(model.name, chat, known, self._training_renderer, self._recipe.serving)

    def _check_vllm(self, model: ModelVersion, known: Known) -> list[Check]:
        """As vLLM answers, which runs already or is started as for serving, and then stopped.

        There it has a name of its own, so that nobody's adapter is taken out.
        """
        named = model.model_copy(update={"id": f"{model.id}-certified"})
        leave_the_card()
        with closing(VllmVersions(self._recipe.serving, self._store, self._folder)) as versions:
            try:
                chat = versions.open(named)
            except (ExtraError, MachineError, ModelError) as problem:
                return [unmade(problem)]
            reference = Reference(self.open(model).model, known.renderer, known.probes)
            checks = check_attached(chat, known, reference, self._recipe.serving)
            versions.take_out(named.id)
        return checks

    def _seen(self, model: LanguageModel, probes: Sequence[Example]) -> tuple[TemplateRenderer, list[Trace]]:
        """How a form of the model reads, and what it says of the probes; its weights are not kept."""
        renderer = self._training_renderer(model)
        return renderer, traces(model.network, renderer, probes)

    def _start(self, train: Sequence[Example], folder: Path) -> LanguageModel:
        """The model as the training of a run began with it."""
        return self._starting.model(self._starting.beginning(train, folder), folder)

    def original(self, model: ModelVersion, dataset: DatasetVersion) -> Original:
        """The model as it is served, to be exported, and what its exports are compared with."""
        train = read_split(self._store, dataset, "train")
        served = self.open(model).model
        return Original(
            model=served,
            base=lambda: open_model(model.base, self._folder),  # as others have it, who load the adapter
            result=self._store.root / model.folder,
            is_adapter=model.is_adapter,
            renderer=self._training_renderer(served),
            reading=self._training_renderer,
            probes=probes_of([*train, *read_split(self._store, dataset, "validation")]),
            temperature=self._recipe.serving.temperature,
        )

    def _stored(self, model: ModelVersion) -> LanguageModel:
        """The trained model as its files hold it: an adapter beside the base's weights, and its own tokenizer."""
        result = self._store.root / model.folder
        if not model.is_adapter:
            return open_folder(model.name, result)
        base = base_of(model, self._store, self._folder)
        put_on(base.network, result)
        return LanguageModel(model.name, base.network, tokenizer_of(result), base.fingerprint)

    def _chat(self, model: LanguageModel) -> LocalChat:
        return LocalChat(model, self._recipe.evaluation.batch_size)

    def _training_renderer(self, model: LanguageModel) -> TemplateRenderer:
        return self._starting.reading(model.tokenizer, model.context)
