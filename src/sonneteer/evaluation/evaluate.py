"""Base against tuned model on the sealed test split: ask both, score, compare, judge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonneteer.chat import Chat, Options
from sonneteer.errors import DataError
from sonneteer.evaluation.ask import Arm, Reply, ask, known_replies, usage_of
from sonneteer.evaluation.cases import Cases, ask_cases, case_rule
from sonneteer.evaluation.compare import clusters_of, compare
from sonneteer.evaluation.descriptions import calibration_error, classification
from sonneteer.evaluation.gaps import Scored, gap_over, gap_rule
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.judging import Pair, ask_judge, judged, order_share, read_labels
from sonneteer.evaluation.memorisation import Audited, audit, check_limits, memorisation_rules
from sonneteer.evaluation.noise import decode_noise
from sonneteer.evaluation.scorers import SCORERS, score
from sonneteer.evaluation.significance import holm, spent_confidence
from sonneteer.evaluation.suites import Questions, Suite, weigh_suite
from sonneteer.evaluation.texts import rouge_l
from sonneteer.evaluation.verdict import Evidence, check_arms, check_metrics, judge
from sonneteer.progress import Progress
from sonneteer.recipe.sections import BY_TOKEN, Recipe
from sonneteer.records import (
    Choice,
    Comparison,
    DatasetVersion,
    Example,
    Gap,
    Judging,
    Report,
    Run,
    SideBySide,
    fingerprint_of,
)
from sonneteer.store import Store, write_whole

SIDE_BY_SIDE = 10
SLICE_TAGS = ("topic", "group")
SMALLEST_SLICE = 5


class Arms(NamedTuple):
    """The models that are compared."""

    base: Chat
    tuned: Chat
    others: tuple[Arm, ...] = ()
    """Further models on the same examples: few_shot, champion, external ones."""
    suites: tuple[Suite, ...] = ()
    """Texts that show what the training costs elsewhere."""
    judge: Chat | None = None
    """The model that judges pairs; None where people do."""
    learned: Sequence[Example] = ()
    """The training split, for what is found out about memorisation."""
    cases: Cases = Cases()
    """Confirmed bad answers."""


class Asked(NamedTuple):
    """The test examples, and what both models said to them."""

    examples: list[Example]
    base: list[Reply]
    tuned: list[Reply]

    def against(self, other: list[Reply]) -> Asked:
        """The same with another model in the base model's place."""
        return self._replace(base=other)

    def where(self, chosen: Sequence[int]) -> Asked:
        """The same for some of the examples."""
        parts = ([part[i] for i in chosen] for part in self)
        return Asked(*parts)  # type: ignore[arg-type]  # each part keeps its type


def evaluate(
    recipe: Recipe,
    run: Run,
    dataset: DatasetVersion,
    arms: Arms,
    store: Store,
    examples: Sequence[Example],
    progress: Progress,
) -> Report:
    """The report of a run. Opening the sealed test split is counted."""
    check_metrics(recipe.promotion, recipe.evaluation.metrics)
    check_arms(recipe.promotion, recipe.evaluation)
    check_limits(recipe.promotion.most_memorised, recipe.evaluation)
    labels = read_labels(labels_of(store, run)) if recipe.evaluation.judge.by else {}
    report_id = _report_id(recipe, run, dataset, arms, labels)
    if known := store.find(Report, id=report_id):
        progress.note(f"Report {report_id} compared exactly this already.")
        return known[0]
    chosen = _chosen(examples, recipe)
    journal = store.folder(run.id) / "answers.jsonl"
    openings = _openings(store, dataset, chosen, journal.with_name(f"{report_id}.openings"))
    confidence = spent_confidence(recipe.evaluation.confidence, openings)
    start = time.monotonic()
    replies = _ask_all(recipe, run, arms, chosen, journal, progress)
    asked = Asked(chosen, replies["base"], replies["tuned"])
    others = {arm.name: asked.against(replies[arm.name]) for arm in arms.others}
    against = {name: _measured(recipe, pair, confidence)[0] for name, pair in others.items()}
    evidence = _evidence(recipe, asked, confidence)._replace(against=against)
    judging = _judging(recipe, asked, arms, labels, confidence)
    bootstrap = Bootstrap(confidence, recipe.evaluation.resamples, recipe.seed)
    questions = Questions(chosen, _options(recipe), recipe.data.keep_together)
    weighed = [weigh_suite(suite, arms.base, arms.tuned, questions, bootstrap) for suite in arms.suites]
    costs = [rule for cost in weighed for rule in cost.rules]
    gaps = _gaps(recipe, asked, bootstrap)
    costs += [gap_rule(tag, gaps.get(tag), confidence) for tag in recipe.promotion.equal_over]
    remembered = audit(recipe, Audited(arms.base, arms.tuned, arms.learned, *asked), bootstrap)
    costs += memorisation_rules(remembered, recipe.promotion.most_memorised)
    outcomes = ask_cases(arms.tuned, arms.cases, _options(recipe))
    costs += case_rule(outcomes, recipe.improvement.most_broken_share)
    judgement = judge(evidence._replace(judging=judging, costs=costs), recipe.promotion, confidence)
    tuned = Arm("tuned", arms.tuned, run.id)
    return Report(
        id=report_id,
        run_id=run.id,
        dataset_id=dataset.id,
        created_at=datetime.now(UTC),
        confidence=confidence,
        comparisons=tuple(evidence.comparisons),
        against={name: tuple(figures) for name, figures in evidence.against.items()},
        suites={name: figures for cost in weighed for name, figures in cost.figures.items()},
        slices=dict(evidence.slices),
        gaps=tuple(gaps.values()),
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        rules=judgement.rules,
        judging=judging,
        classification={name: told for name, part in replies.items() if (told := classification(chosen, part))},
        calibration_error={
            name: error for name, part in replies.items() if (error := calibration_error(chosen, part)) is not None
        },
        side_by_side=_side_by_side(asked),
        privacy=run.privacy,
        memorisation=remembered,
        generalisation_gap=run.generalisation_gap,
        gap_interval=run.gap_interval,
        usage=usage_of(replies["tuned"]),
        decode_noise=decode_noise(tuned, chosen, recipe.evaluation, _metrics(recipe), journal),
        cases=outcomes,
        unavailable=dict(evidence.unavailable),
        answers_file=store.put(journal.read_bytes(), "jsonl"),
        seconds=time.monotonic() - start,
        test_openings=openings,
    )


def _report_id(recipe: Recipe, run: Run, dataset: DatasetVersion, arms: Arms, labels: dict[str, Choice]) -> str:
    settings = recipe.model_dump(mode="json", include={"seed", "evaluation", "promotion"})
    others = [[arm.name, arm.version] for arm in arms.others] + [[suite.rows] for suite in arms.suites]
    others += [[arms.cases.version]] if arms.cases.known else []
    return f"report-{fingerprint_of([settings, run.id, dataset.id, others, labels])}"


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


def _judging(recipe: Recipe, asked: Asked, arms: Arms, labels: dict[str, Choice], confidence: float) -> Judging | None:
    settings = recipe.evaluation.judge
    if settings.by is None:
        return None
    parts = sorted(zip(asked.examples, asked.base, asked.tuned, strict=True), key=lambda part: part[0].id)
    pairs = [Pair(example, base.text, tuned.text) for example, base, tuned in parts]
    clusters = clusters_of([pair.example for pair in pairs], recipe.data.keep_together)
    bootstrap = Bootstrap(confidence, recipe.evaluation.resamples, recipe.seed)
    if arms.judge is None:
        return judged(pairs, labels, {}, clusters, bootstrap)
    rulings = ask_judge(arms.judge, settings.rubric, pairs[: settings.max_pairs])
    choices = {pair.example.id: ruling.choice for pair, ruling in zip(pairs, rulings, strict=False)}
    told = judged(pairs, choices, labels, clusters, bootstrap)
    return told and told.model_copy(update={"by": settings.by, "order_share": order_share(rulings)})


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


def _ask_all(
    recipe: Recipe, run: Run, arms: Arms, examples: list[Example], journal: Path, progress: Progress
) -> dict[str, list[Reply]]:
    settings = recipe.evaluation
    options = _options(recipe)
    both = [Arm("base", arms.base, run.base_fingerprint), Arm("tuned", arms.tuned, run.id)]
    asked, done = [*both, *arms.others], 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done, len(asked) * len(examples))

    return {arm.name: ask(arm, examples, options, journal, settings.batch_size, told) for arm in asked}


def _options(recipe: Recipe) -> Options:
    return Options(max_tokens=recipe.evaluation.max_answer_tokens, seed=recipe.seed)


def _openings(store: Store, dataset: DatasetVersion, examples: Sequence[Example], note: Path) -> int:
    """How often the sealed split has been opened by now. An evaluation that was interrupted opens it only once."""
    if not note.exists():
        write_whole(note, str(store.open_test_split(dataset.id, [one.id for one in examples])).encode())
    return int(note.read_text())


def _evidence(recipe: Recipe, asked: Asked, confidence: float) -> Evidence:
    """All figures, with Holm's correction over metrics and parts together."""
    comparisons, unavailable = _measured(recipe, asked, confidence)
    slices = _slices(recipe, asked, confidence)
    p_values = {c.metric: c.p_values["randomisation"] for c in comparisons}
    adjusted = holm(p_values | {name: part.p_values["randomisation"] for name, part in slices.items()})
    return Evidence(
        [c.model_copy(update={"adjusted_p_value": adjusted[c.metric]}) for c in comparisons],
        unavailable,
        {name: part.model_copy(update={"adjusted_p_value": adjusted[name]}) for name, part in slices.items()},
    )


def _measured(recipe: Recipe, asked: Asked, confidence: float) -> tuple[list[Comparison], dict[str, str]]:
    """Every metric that can be had of both models, and why the others cannot."""
    comparisons, unavailable = [], {}
    for metric in _metrics(recipe):
        scorer = SCORERS[metric]
        if scorer.needs_likelihood and any(reply.likelihood is None for reply in (*asked.base, *asked.tuned)):
            unavailable[metric] = "a model cannot say how likely it finds an answer"
        elif metric in BY_TOKEN and _cut_differently(asked):
            unavailable[metric] = "the two models cut texts into different tokens; bits_per_character compares them"
        elif not any(score(scorer, asked.examples, asked.base).weights):
            unavailable[metric] = "it applies to none of the test examples"
        else:
            comparisons.append(_compare(metric, recipe, asked, confidence))
    return comparisons, unavailable


def _cut_differently(asked: Asked) -> bool:
    """Whether the models read the right answers as different numbers of tokens."""
    pairs = [(one.likelihood, two.likelihood) for one, two in zip(asked.base, asked.tuned, strict=True)]
    return any(one and two and one.tokens != two.tokens for one, two in pairs)


def _metrics(recipe: Recipe) -> list[str]:
    """Those that the evaluation names, and those that the promotion rules need."""
    rules = recipe.promotion
    return list(dict.fromkeys([*recipe.evaluation.metrics, *rules.better_on, *rules.not_worse_on, *rules.floors]))


def _compare(metric: str, recipe: Recipe, asked: Asked, confidence: float) -> Comparison:
    scorer = SCORERS[metric]
    clusters = clusters_of(asked.examples, recipe.data.keep_together)
    base, tuned = (score(scorer, asked.examples, replies) for replies in (asked.base, asked.tuned))
    bootstrap = Bootstrap(confidence, recipe.evaluation.resamples, recipe.seed)
    return compare(metric, scorer, base, tuned, clusters, bootstrap)


def _slices(recipe: Recipe, asked: Asked, confidence: float) -> dict[str, Comparison]:
    """The first promotion metric by topic and group, where a slice has enough examples to say anything."""
    metric = recipe.promotion.better_on[0]
    if SCORERS[metric].needs_likelihood and any(reply.likelihood is None for reply in (*asked.base, *asked.tuned)):
        return {}
    slices = {}
    for tag in SLICE_TAGS:
        for value in sorted({example.tags[tag] for example in asked.examples if tag in example.tags}):
            chosen = [i for i, example in enumerate(asked.examples) if example.tags.get(tag) == value]
            part = asked.where(chosen)
            applying = int((score(SCORERS[metric], part.examples, part.base).weights > 0).sum())
            if SMALLEST_SLICE <= applying < len(asked.examples):
                slices[f"{tag}: {value}"] = _compare(metric, recipe, part, confidence)
    return slices


def _gaps(recipe: Recipe, asked: Asked, bootstrap: Bootstrap) -> dict[str, Gap]:
    """By tag, whether some of its values gained more than others by the first promotion metric."""
    metric = recipe.promotion.better_on[0]
    scorer = SCORERS[metric]
    if scorer.needs_likelihood and any(reply.likelihood is None for reply in (*asked.base, *asked.tuned)):
        return {}
    base, tuned = (score(scorer, asked.examples, replies) for replies in (asked.base, asked.tuned))
    scored = Scored(metric, scorer, base, tuned, clusters_of(asked.examples, recipe.data.keep_together))
    tags = dict.fromkeys((*recipe.promotion.equal_over, "group"))
    told = {tag: gap_over(tag, [e.tags.get(tag) for e in asked.examples], scored, bootstrap) for tag in tags}
    return {tag: gap for tag, gap in told.items() if gap}


def _side_by_side(asked: Asked) -> tuple[SideBySide, ...]:
    """Ten examples at even steps from the greatest loss to the greatest gain in ROUGE-L: a rule, and no choice."""
    references = [example.answer.text for example in asked.examples]
    gains = [
        rouge_l(reference, tuned.text) - rouge_l(reference, base.text)
        for reference, base, tuned in zip(references, asked.base, asked.tuned, strict=True)
    ]
    order = sorted(range(len(gains)), key=lambda i: (gains[i], asked.examples[i].id))
    places = np.unique(np.linspace(0, len(order) - 1, SIDE_BY_SIDE).round().astype(int))
    return tuple(
        SideBySide(
            example_id=asked.examples[i].id,
            prompt=asked.examples[i].prompt.messages,
            tags=asked.examples[i].tags,
            reference=references[i],
            base=asked.base[i].text,
            tuned=asked.tuned[i].text,
            score_gain=gains[i],
        )
        for i in (order[place] for place in places)
    )
