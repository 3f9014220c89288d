"""Base against tuned model on the sealed test split: open it, ask everybody, find the figures, judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sonneteer.chat import Chat, Options
from sonneteer.errors import DataError, RecipeError
from sonneteer.evaluation.ask import Arm, Reply, ask, declined, known_replies, usage_of
from sonneteer.evaluation.cases import Cases, ask_cases, case_rule
from sonneteer.evaluation.compare import clusters_of
from sonneteer.evaluation.descriptions import calibration_error, classification, side_by_side
from sonneteer.evaluation.gaps import gap_rule
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.judging import Pair, ask_judge, judged, order_share, read_labels
from sonneteer.evaluation.measure import Asked, evidence_of, gaps_of, measured, metrics_of
from sonneteer.evaluation.memorisation import Audited, audit, check_limits, memorisation_rules
from sonneteer.evaluation.noise import decode_noise
from sonneteer.evaluation.significance import spent_confidence
from sonneteer.evaluation.suites import Questions, Suite, weigh_suite
from sonneteer.evaluation.verdict import Evidence, check_arms, check_metrics, judge
from sonneteer.progress import Progress
from sonneteer.recipe.sections import Recipe
from sonneteer.records import (
    CaseOutcome,
    Choice,
    Comparison,
    DatasetVersion,
    Example,
    Gap,
    Judging,
    Memorisation,
    Report,
    Run,
    fingerprint_of,
)
from sonneteer.store import Store, write_whole

NOT_ON_THE_SEALED = {"learning_curve", "externals"}
"""Settings of `evaluation` that change nothing of what is asked of the sealed examples. External models take part as
arms, by name and version."""


class Arms(NamedTuple):
    """The models that are compared."""

    base: Chat
    tuned: Chat
    others: tuple[Arm, ...] = ()
    """Further models on the same examples: few_shot, champion, external ones."""
    suites: tuple[Suite, ...] = ()
    """Texts that show what the training costs elsewhere."""
    judge: Arm | None = None
    """The model that judges pairs; None where people do."""
    learned: Sequence[Example] = ()
    """The training split, for what is found out about memorisation."""
    cases: Cases = Cases()
    """Confirmed bad answers."""


class Contest(NamedTuple):
    """Who is compared, and on what."""

    recipe: Recipe
    run: Run
    dataset: DatasetVersion
    arms: Arms
    sealed: Sequence[Example]
    """The test split."""


class Opened(NamedTuple):
    """The sealed examples, once they were opened."""

    examples: list[Example]
    """Those that are asked."""
    openings: int
    bootstrap: Bootstrap
    """How every interval is made; the more openings, the surer it has to be."""
    journal: Path
    """Where each answer is kept as it comes."""
    began: float


class Filed(NamedTuple):
    """Under which id a report is filed, and in which file its answers lie."""

    id: str
    answers_file: str


class Findings(NamedTuple):
    """All that the answers show."""

    evidence: Evidence
    suites: dict[str, Comparison]
    gaps: dict[str, Gap]
    memorisation: Memorisation | None
    cases: tuple[CaseOutcome, ...]
    decode_noise: dict[str, float]


def evaluate(contest: Contest, store: Store, progress: Progress) -> Report:
    """The report of a run. Opening the sealed test split is counted once, before the first question.

    It counts even if no report comes of it, since the answers can be read by then. The same evaluation again is the
    same opening, whatever stopped it: a server that was down, a key that was wrong.

    Raises RecipeError for rules that nothing measures, and DataError for a test split without conversations.
    """
    check_rules(contest.recipe)
    labels = read_labels(labels_of(store, contest.run)) if contest.recipe.evaluation.judge.by else {}
    look = _look(contest, labels)
    id = f"report-{fingerprint_of([look, contest.arms.cases.version])}"
    if known := store.find(Report, id=id):
        progress.note(f"Report {id} compared exactly this already.")
        return known[0]
    opened = _open(contest, look, store)
    replies = _ask_all(contest, opened, progress)
    findings = _find(contest, opened, replies, labels)
    answers = store.put(opened.journal.read_bytes(), "jsonl")
    return _report(Filed(id, answers), contest, opened, replies, findings)


def check_rules(recipe: Recipe) -> None:
    """Raises RecipeError for metrics, arms and limits that do not exist, all at once."""
    problems: list[str] = []
    checks = (
        partial(check_metrics, recipe.promotion, recipe.evaluation.metrics),
        partial(check_arms, recipe.promotion, recipe.evaluation),
        partial(check_limits, recipe.promotion.most_memorised, recipe.evaluation),
    )
    for check in checks:
        try:
            check()
        except RecipeError as problem:
            problems += problem.problems
    if problems:
        raise RecipeError(problems)


def _look(contest: Contest, labels: dict[str, Choice]) -> str:
    """Names what is asked of the sealed examples. The same look again shows nothing new, and is not counted."""
    recipe, run, dataset, arms, _ = contest
    settings = recipe.model_dump(mode="json", include={"seed", "evaluation", "promotion"})
    settings["evaluation"] = {k: v for k, v in settings["evaluation"].items() if k not in NOT_ON_THE_SEALED}
    others = [[arm.name, arm.version] for arm in arms.others] + [[suite.rows] for suite in arms.suites]
    return fingerprint_of([settings, run.id, dataset.id, others, labels])


def _open(contest: Contest, look: str, store: Store) -> Opened:
    """What is asked, and how sure it has to be after so many openings. An interrupted evaluation opens only once."""
    recipe, folder = contest.recipe, store.folder(contest.run.id)
    chosen = _chosen(contest.sealed, recipe)
    note = folder / f"{look}.openings"
    if not note.exists():
        count = store.open_test_split(contest.dataset.id, [example.id for example in chosen])
        write_whole(note, str(count).encode())
    openings = int(note.read_text())
    confidence = spent_confidence(recipe.evaluation.confidence, openings)
    bootstrap = Bootstrap(confidence, recipe.evaluation.resamples, recipe.seed)
    return Opened(chosen, openings, bootstrap, folder / "answers.jsonl", time.monotonic())


def _chosen(examples: Sequence[Example], recipe: Recipe) -> list[Example]:
    """The test examples that are asked; with a limit, those with the smallest fingerprints."""
    limit = recipe.evaluation.max_examples
    conversations = [example for example in examples if not example.is_text]
    if not conversations:
        raise DataError(
            "The test split holds no conversation, so nothing can be asked. Set data.test_share above 0, and bring "
            "conversations: plain text alone has no answers to compare."
        )
    return conversations if limit is None else sorted(conversations, key=lambda example: example.id)[:limit]


def _ask_all(contest: Contest, opened: Opened, progress: Progress) -> dict[str, list[Reply]]:
    """What each arm says to each question, by arm."""
    recipe, run, arms = contest.recipe, contest.run, contest.arms
    both = [Arm("base", arms.base, run.base_fingerprint), Arm("tuned", arms.tuned, run.id)]
    asked, options, size, done = [*both, *arms.others], _options(recipe), recipe.evaluation.batch_size, 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done, len(asked) * len(opened.examples))

    return {arm.name: ask(arm, opened.examples, options, opened.journal, size, told) for arm in asked}


def _options(recipe: Recipe) -> Options:
    return Options(max_tokens=recipe.evaluation.max_answer_tokens, seed=recipe.seed)


def _find(contest: Contest, opened: Opened, replies: Mapping[str, list[Reply]], labels: dict[str, Choice]) -> Findings:
    """Figures of the answers, and what was found out besides: costs elsewhere, gaps, memories, cases."""
    recipe, arms, bootstrap = contest.recipe, contest.arms, opened.bootstrap
    asked = Asked(opened.examples, replies["base"], replies["tuned"])
    questions = Questions(opened.examples, _options(recipe), recipe.data.keep_together)
    weighed = [weigh_suite(suite, arms.base, arms.tuned, questions, bootstrap) for suite in arms.suites]
    gaps = gaps_of(recipe, asked, bootstrap)
    memorisation = audit(recipe, Audited(arms.base, arms.tuned, arms.learned, *asked), bootstrap)
    cases = ask_cases(arms.tuned, arms.cases, _options(recipe))
    evidence = evidence_of(recipe, asked, bootstrap)._replace(
        against={arm.name: measured(recipe, asked.against(replies[arm.name]), bootstrap)[0] for arm in arms.others},
        judging=_judging(recipe, asked, arms.judge, labels, opened),
        costs=[
            *(rule for cost in weighed for rule in cost.rules),
            *(gap_rule(tag, gaps.get(tag), bootstrap.confidence) for tag in recipe.promotion.equal_over),
            *memorisation_rules(memorisation, recipe.promotion.most_memorised),
            *case_rule(cases, recipe.improvement.most_broken_share),
        ],
    )
    suites = {name: figures for cost in weighed for name, figures in cost.figures.items()}
    tuned = Arm("tuned", arms.tuned, contest.run.id)
    noise = decode_noise(tuned, opened.examples, recipe.evaluation, metrics_of(recipe), opened.journal)
    return Findings(evidence, suites, gaps, memorisation, cases, noise)


def _judging(
    recipe: Recipe, asked: Asked, judge: Arm | None, labels: dict[str, Choice], opened: Opened
) -> Judging | None:
    settings, bootstrap = recipe.evaluation.judge, opened.bootstrap
    if settings.by is None:
        return None
    parts = sorted(zip(asked.examples, asked.base, asked.tuned, strict=True), key=lambda part: part[0].id)
    pairs = [Pair(example, base.text, tuned.text) for example, base, tuned in parts]
    clusters = clusters_of([pair.example for pair in pairs], recipe.data.keep_together)
    if judge is None:
        return judged(pairs, labels, {}, clusters, bootstrap)
    rulings = ask_judge(judge, settings.rubric, pairs[: settings.max_pairs], opened.journal)
    choices = {pair.example.id: ruling.choice for pair, ruling in zip(pairs, rulings, strict=False)}
    told = judged(pairs, choices, labels, clusters, bootstrap)
    return told and told.model_copy(update={"by": settings.by, "order_share": order_share(rulings)})


def _report(
    filed: Filed, contest: Contest, opened: Opened, replies: Mapping[str, list[Reply]], findings: Findings
) -> Report:
    """The rules applied to the findings, and all of it written down."""
    run, evidence, confidence = contest.run, findings.evidence, opened.bootstrap.confidence
    judgement = judge(evidence, contest.recipe.promotion, confidence)
    classes = {name: classification(opened.examples, said) for name, said in replies.items()}
    errors = {name: calibration_error(opened.examples, said) for name, said in replies.items()}
    return Report(
        id=filed.id,
        run_id=run.id,
        dataset_id=contest.dataset.id,
        created_at=datetime.now(UTC),
        confidence=confidence,
        comparisons=tuple(evidence.comparisons),
        against={name: tuple(figures) for name, figures in evidence.against.items()},
        suites=findings.suites,
        slices=dict(evidence.slices),
        gaps=tuple(findings.gaps.values()),
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        rules=judgement.rules,
        judging=evidence.judging,
        classification={name: told for name, told in classes.items() if told},
        calibration_error={name: error for name, error in errors.items() if error is not None},
        side_by_side=side_by_side(Asked(opened.examples, replies["base"], replies["tuned"])),
        privacy=run.privacy,
        memorisation=findings.memorisation,
        generalisation_gap=run.generalisation_gap,
        gap_interval=run.gap_interval,
        usage=usage_of(replies["tuned"]),
        decode_noise=findings.decode_noise,
        cases=findings.cases,
        declined={name: number for name, said in replies.items() if (number := declined(said))},
        unavailable=dict(evidence.unavailable),
        answers_file=filed.answers_file,
        seconds=time.monotonic() - opened.began,
        test_openings=opened.openings,
    )


def labels_of(store: Store, run: Run) -> Path:
    """Where people's choices between a run's answers are kept."""
    return store.folder(run.id) / "labels.jsonl"


def read_pairs(recipe: Recipe, run: Run, store: Store, examples: Sequence[Example]) -> list[Pair]:
    """The answers that an evaluation has kept, pair by pair, for people to judge."""
    journal, options = store.folder(run.id) / "answers.jsonl", _options(recipe)
    base = known_replies(journal, "base", run.base_fingerprint, options)
    tuned = known_replies(journal, "tuned", run.id, options)
    chosen = sorted(_chosen(examples, recipe), key=lambda example: example.id)
    both = [(e, base[e.id], tuned[e.id]) for e in chosen if e.id in base and e.id in tuned]
    return [Pair(example, old.text, new.text, new.confidence) for example, old, new in both]
