"""The story on one page: prepare, train, evaluate, serve. Each stage goes on where an interrupted one stopped."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from sonneteer import contest, data, deployments, evaluation, opening, serving, versions
from sonneteer.backends import export as exporting
from sonneteer.backends.local import LocalBackend
from sonneteer.backends.runs import new_run, status_kept
from sonneteer.backends.vocabulary import VocabularyReport
from sonneteer.chat import Chat
from sonneteer.external import ClaudeChat, ServerChat
from sonneteer.preparation import prepare
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.recipe.sections import BaseSettings, ExternalSettings, Recipe, TrainingSettings
from sonneteer.records import (
    Certificate,
    DatasetVersion,
    ModelVersion,
    Report,
    Run,
)
from sonneteer.search.find import find_settings, study_name
from sonneteer.search.found import SearchReport
from sonneteer.search.report import write_report
from sonneteer.search.space import with_settings
from sonneteer.search.training import TrialTrainer
from sonneteer.search.trials import Place
from sonneteer.store import Store
from sonneteer.store.prices import read_prices
from sonneteer.training.plan import Plan, refuse
from sonneteer.training.range_test import RangeTest, sane_pace


class Found(NamedTuple):
    """What a search came to: a recipe with better settings, and either the trials with their page or a range test."""

    recipe: Recipe
    report: SearchReport | None = None
    page: Path | None = None
    rates: RangeTest | None = None


def run(loaded: LoadedRecipe, store: Store, progress: Progress) -> Report:
    """The whole recipe: from raw rows to a verdict and a dossier."""
    report = evaluate(loaded, store, progress)
    dossier(loaded, store, report)
    return report


def synthesize(loaded: LoadedRecipe, store: Store, progress: Progress) -> data.Synthesized:
    """A teacher writes examples into a file beside the recipe. What it has replied is not asked again."""
    data.refuse_without_terms(loaded.recipe.synthesis.teacher)
    progress.stage("synthesizing")
    with store.writing(f"synthesis-{loaded.recipe.name}"):
        return data.synthesize(loaded.recipe, loaded.folder, store, _teacher(loaded, store), progress)


def plan(loaded: LoadedRecipe, store: Store, progress: Progress) -> Plan:
    """What training will take: tokens, memory, time and cost. No weights are loaded."""
    evaluation.check_rules(loaded.recipe)
    dataset = prepare(loaded, store, progress)
    progress.stage("planning")
    made = opening.backend(loaded, store).plan(dataset)
    prices = read_prices(store.root / "prices.yaml")
    past = store.latest(Report, loaded.recipe.name)
    sealed = data.read_split(store, dataset, "test")
    openings = store.test_openings(dataset.id, [example.id for example in sealed])
    shown = evaluation.outlook(loaded.recipe, sealed, past, openings)
    costs = prices.costs(made.seconds.value)
    return made.model_copy(update={"costs": costs, "currency": prices.currency, "detectable": shown})


def vocabulary(loaded: LoadedRecipe, store: Store, progress: Progress) -> VocabularyReport:
    """What the domain's words cost in tokens, which would save most as one, and what those of the recipe did."""
    dataset = prepare(loaded, store, progress)
    progress.stage("measuring the vocabulary")
    backend = opening.backend(loaded, store)
    known = store.find(ModelVersion, run_id=new_run(loaded, dataset, backend).id)
    return backend.vocabulary(dataset, known[0] if known else None)


def search(loaded: LoadedRecipe, store: Store, progress: Progress) -> Found:
    """Better settings, compared by validation loss. The same command goes on after an interruption."""
    contest.check(loaded)
    dataset = prepare(loaded, store, progress)
    backend = opening.backend(loaded, store)
    refuse(backend.plan(dataset, loaded.recipe.search.processes), loaded.recipe.training)
    if loaded.recipe.search.by == "auto":
        progress.stage("testing learning rates")
        pace = sane_pace(dataset.splits["train"].examples)
        rates = backend.range_test(dataset, pace.batch_size, progress)
        settings = {f"training.{name}": value for name, value in pace._asdict().items()}
        recipe = with_settings(loaded.recipe, settings | {"training.learning_rate": rates.learning_rate})
        return Found(recipe, rates=rates)
    place = Place(store.root, study_name(loaded, dataset, backend.fingerprint))
    with store.writing(f"search-{place.name}"):
        trainer = TrialTrainer(loaded, store.root, dataset.id)
        report = find_settings(loaded, dataset, trainer, place, progress)
    return Found(
        with_settings(loaded.recipe, report.chosen.settings),
        report,
        write_report(report, store.root / "search" / place.name),
    )


def train(loaded: LoadedRecipe, store: Store, progress: Progress) -> ModelVersion:
    """The data set becomes a model version. A finished run of the same recipe and data is not done again."""
    evaluation.check_rules(loaded.recipe)
    dataset = prepare(loaded, store, progress)
    progress.stage("training")
    backend = opening.backend(loaded, store)
    run = new_run(loaded, dataset, backend)
    with store.writing(f"run-{run.id}"):
        known = store.find(ModelVersion, run_id=run.id)
        if known:
            progress.note(f"Run {run.id} did exactly this already: it made {known[0].id}.")
            return known[0]
        with status_kept(store, run):
            run = backend.fit(dataset, run, progress)
        store.save(run)
        evaluation.plot_losses(store.folder(run.id) / "metrics.jsonl", store.folder(run.id) / "loss.svg")
        return versions.register(loaded, store, run, dataset)


def evaluate(loaded: LoadedRecipe, store: Store, progress: Progress) -> Report:
    """Base and tuned model answer the sealed test split; the report says which is better, and how surely."""
    contest.check(loaded)
    model = train(loaded, store, progress)
    progress.stage("evaluating")
    with store.writing(f"report-{model.run_id}"):
        report = evaluation.evaluate(contest.contest_of(loaded, store, model), store, progress)
        if curve := contest.learning_curve(loaded, store, model, progress):
            report = report.model_copy(update={"learning_curve": curve})
        store.save(report)
        store.save(model.model_copy(update={"report_id": report.id}))
    return report


def dossier(loaded: LoadedRecipe, store: Store, report: Report) -> Path:
    """One HTML file that tells all of it to whoever decides."""
    run, dataset = store.get(Run, report.run_id), store.get(DatasetVersion, report.dataset_id)
    ledger = data.read_ledger(store, dataset)
    target = store.root / f"{loaded.recipe.name}-dossier.html"
    metrics, prices = store.folder(run.id) / "metrics.jsonl", read_prices(store.root / "prices.yaml")
    return evaluation.write_dossier(evaluation.Papers(report, run, dataset, ledger, metrics, prices), target)


def certify(loaded: LoadedRecipe, store: Store, progress: Progress, id: str | None = None) -> Certificate:
    """Prove that a version, as it is served, is the one that was trained. Kept with the model.

    Without an `id` it is the newest that was neither refused nor replaced.
    """
    model = versions.in_question(loaded, store, id)
    progress.stage("certifying")
    progress.note(f"Certifying {model.id} ({model.stage}).")
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    certificate = opening.backend_of(loaded, store, model).certify(model, run, dataset)
    name = store.put(certificate.model_dump_json(indent=1).encode(), "json")
    store.save(model.model_copy(update={"certificate_file": name}))
    return certificate


def export(
    loaded: LoadedRecipe, store: Store, progress: Progress, wanted: exporting.Wanted, allow: str | None = None
) -> exporting.Exported:
    """A version as files that other programs load, each proven to be the model that was trained."""
    model = versions.in_force(loaded, store, wanted.model)
    progress.stage("exporting")
    progress.note(f"Exporting {model.id} ({model.stage}).")
    dataset = store.get(DatasetVersion, model.dataset_id)
    return exporting.export(
        lambda: opening.backend_of(loaded, store, model).original(model, dataset), store, model, wanted, allow
    )


def open_chat(loaded: LoadedRecipe, store: Store, which: str = "tuned", progress: Progress | None = None) -> Chat:
    """The `base` model, the `tuned` one that is in force, or a version by its id."""
    if which != "base":
        model = versions.in_force(loaded, store, None if which == "tuned" else which)
        if progress is not None:
            progress.note(f"This is {model.id} ({model.stage}).")
        return opening.backend_of(loaded, store, model).open(model)
    from_scratch = loaded.recipe.base.from_scratch
    run = store.get(Run, versions.in_force(loaded, store).run_id) if from_scratch else None
    return opening.backend(loaded, store).open_base(run)


def serve(
    loaded: LoadedRecipe,
    store: Store,
    progress: Progress,
    watch: serving.Watch | None = None,
    opened: opening.Opener | None = None,
) -> None:
    """The deployed model behind Anthropic's and OpenAI's API, until stopped; without a deployment the newest one.

    `watch` is told what happens, and may bring the versions that are live, which `opened` has opened.
    """
    model = store.get(ModelVersion, deployments.current(store, loaded.recipe.name).champion_id)
    progress.stage("serving")
    if model.retrain_because:
        progress.note(f"{model.id} should be trained again: {model.retrain_because}.")
    open_one = opened or opening.opener(loaded, store)
    served = watch.live.champion if watch and watch.live else open_one(model.id)

    def other(id: str) -> serving.ServedModel | None:
        is_known = any(version.id == id for version in store.find(ModelVersion, name=model.name))
        return open_one(id)._replace(name=id) if is_known else None

    keys = serving.Keys.of(store.keys)
    around = serving.Around(watch, other, store.shelf, partial(_note_served, store, model))
    serving.serve([served], loaded.recipe.serving, keys, progress.note, around)


def show(loaded: LoadedRecipe, store: Store, dataset: DatasetVersion, count: int) -> list[list[tuple[str, bool]]]:
    """The first training examples as the model reads them: each token's text, and whether it is learned."""
    examples = data.read_split(store, dataset, "train")
    return opening.backend(loaded, store).show(examples[:count], examples)


def _note_served(store: Store, model: ModelVersion, address: str) -> None:
    store.note_deed("serve", f"models/{model.id}", f"at {address}")


def _teacher(loaded: LoadedRecipe, store: Store) -> Chat:
    teacher = loaded.recipe.synthesis.teacher
    name = teacher.model or ""
    if teacher.api == "local":
        update = {"base": BaseSettings(model=name), "training": TrainingSettings()}
        recipe = loaded.recipe.model_copy(update=update)
        return LocalBackend(recipe, loaded.folder, store).open_base(None)
    settings = ExternalSettings(
        name="teacher", url=teacher.url, model=name, api=teacher.api, key_variable=teacher.key_variable
    )
    return ClaudeChat(settings) if teacher.api == "anthropic" else ServerChat(settings)
