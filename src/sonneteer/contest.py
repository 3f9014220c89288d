"""Who is compared with the newest model: its base with and without examples, the champion, models of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonneteer import data, evaluation, opening
from sonneteer.chat import Chat
from sonneteer.external import ServerChat
from sonneteer.progress import Progress
from sonneteer.recipe import LoadedRecipe
from sonneteer.records import CurvePoint, DatasetVersion, Example, ModelVersion, Report, Run, fingerprint_of
from sonneteer.search.choose import unwatched
from sonneteer.search.training import TrialTrainer
from sonneteer.store import Store


def check(loaded: LoadedRecipe) -> None:
    """What the comparison would miss, before anything is trained for it. Raises RecipeError and DataError."""
    evaluation.check_rules(loaded.recipe)
    for suite in loaded.recipe.evaluation.suites:
        evaluation.read_suite(suite, loaded.folder)
    for external in loaded.recipe.evaluation.externals:
        ServerChat(external)


def contest_of(loaded: LoadedRecipe, store: Store, model: ModelVersion) -> evaluation.Contest:
    """Everybody who takes part, opened, and the sealed examples."""
    run, dataset = store.get(Run, model.run_id), store.get(DatasetVersion, model.dataset_id)
    backend, settings = opening.backend(loaded, store), loaded.recipe.evaluation
    base = backend.open_base(run)
    learned = data.read_split(store, dataset, "train")
    others = tuple(_others(loaded, store, model, base, learned))
    arms = evaluation.Arms(
        base,
        backend.open(model),
        others,
        tuple(evaluation.read_suite(one, loaded.folder) for one in settings.suites),
        _judge(loaded, others),
        learned if settings.is_audited else [],
        _cases(loaded, store, run),
    )
    return evaluation.Contest(loaded.recipe, run, dataset, arms, data.read_split(store, dataset, "test"))


def learning_curve(
    loaded: LoadedRecipe, store: Store, model: ModelVersion, progress: Progress
) -> tuple[CurvePoint, ...]:
    """The same training with a part of the examples. What the catalogue knows is not trained again."""
    dataset, points = store.get(DatasetVersion, model.dataset_id), []
    for share in loaded.recipe.evaluation.learning_curve:
        progress.stage(f"training with {share:.0%} of the examples")
        part = data.share_of(store, dataset, share)
        trained = TrialTrainer(loaded, store.root, part.id)({}, loaded.recipe.seed, unwatched)
        examples = part.splits["train"].examples
        points.append(CurvePoint(share=share, examples=examples, validation_loss=trained.loss))
    return tuple(points)


def _others(
    loaded: LoadedRecipe, store: Store, model: ModelVersion, base: Chat, learned: Sequence[Example]
) -> Iterator[evaluation.Arm]:
    """The base model with examples in its prompt, the champion, and the models that the recipe names."""
    settings = loaded.recipe.evaluation
    if settings.few_shot:
        shots = evaluation.shots_of(learned, settings.few_shot)
        version = fingerprint_of([model.base_fingerprint, [shot.id for shot in shots]])
        yield evaluation.Arm("few_shot", evaluation.FewShot(base, shots), version)
    for champion in store.find(ModelVersion, name=model.name, stage="champion"):
        if champion.id != model.id:
            yield evaluation.Arm("champion", opening.open_version(loaded, store, champion), champion.run_id)
    for external in settings.externals:
        chat = ServerChat(external)
        yield evaluation.Arm(external.name, chat, external.version)


def _judge(loaded: LoadedRecipe, arms: Sequence[evaluation.Arm]) -> evaluation.Arm | None:
    """The model that judges pairs; None where people do, or nobody."""
    judge = loaded.recipe.evaluation.judge.by
    return next((arm for arm in arms if arm.name == judge), None)


def _cases(loaded: LoadedRecipe, store: Store, run: Run) -> evaluation.Cases:
    """The confirmed bad answers, and which of them another run's report found mended."""
    others = [report for report in store.find(Report, name=loaded.recipe.name) if report.run_id != run.id]
    fixed = evaluation.fixed_in([outcome for report in others for outcome in report.cases])
    return evaluation.Cases(evaluation.read_cases(store, loaded.recipe.name), fixed)
