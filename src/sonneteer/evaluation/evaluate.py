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
from sonneteer.evaluation.ask import Arm, Reply, ask
from sonneteer.evaluation.compare import clusters_of, compare
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.scorers import SCORERS, rouge_l, score
from sonneteer.evaluation.significance import holm, spent_confidence
from sonneteer.evaluation.verdict import Evidence, check_metrics, judge
from sonneteer.progress import Progress
from sonneteer.recipe.sections import Recipe
from sonneteer.records import Comparison, DatasetVersion, Example, Report, Run, SideBySide, fingerprint_of
from sonneteer.store import Store, write_whole

SIDE_BY_SIDE = 10
SLICE_TAGS = ("topic", "group")
SMALLEST_SLICE = 5


class Arms(NamedTuple):
    """The models that are compared."""

    base: Chat
    tuned: Chat


class Asked(NamedTuple):
    """The test examples, and what both models said to them."""

    examples: list[Example]
    base: list[Reply]
    tuned: list[Reply]

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
    check_metrics(recipe.promotion)
    report_id = _report_id(recipe, run, dataset)
    if known := store.find(Report, id=report_id):
        progress.note(f"Report {report_id} compared exactly this already.")
        return known[0]
    chosen = _chosen(examples, recipe)
    journal = store.folder(run.id) / "answers.jsonl"
    openings = _openings(store, dataset, journal.with_name(f"{report_id}.openings"))
    confidence = spent_confidence(recipe.evaluation.confidence, openings)
    start = time.monotonic()
    asked = _ask_both(recipe, run, arms, chosen, journal, progress)
    evidence = _evidence(recipe, asked, confidence)
    judgement = judge(evidence, recipe.promotion, confidence)
    return Report(
        id=report_id,
        run_id=run.id,
        dataset_id=dataset.id,
        created_at=datetime.now(UTC),
        confidence=confidence,
        comparisons=tuple(evidence.comparisons),
        slices=dict(evidence.slices),
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        rules=judgement.rules,
        side_by_side=_side_by_side(asked),
        unavailable=dict(evidence.unavailable),
        answers_file=store.put(journal.read_bytes(), "jsonl"),
        seconds=time.monotonic() - start,
        test_openings=openings,
    )


def _report_id(recipe: Recipe, run: Run, dataset: DatasetVersion) -> str:
    settings = recipe.model_dump(mode="json", include={"seed", "evaluation", "promotion"})
    return f"report-{fingerprint_of([settings, run.id, dataset.id])}"


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


def _ask_both(
    recipe: Recipe, run: Run, arms: Arms, examples: list[Example], journal: Path, progress: Progress
) -> Asked:
    settings = recipe.evaluation
    options = Options(max_tokens=settings.max_answer_tokens, seed=recipe.seed)
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done, 2 * len(examples))

    versions = {"base": run.base_fingerprint, "tuned": run.id}
    replies = [
        ask(Arm(name, chat, versions[name]), examples, options, journal, settings.batch_size, told)
        for name, chat in arms._asdict().items()
    ]
    return Asked(examples, *replies)


def _openings(store: Store, dataset: DatasetVersion, note: Path) -> int:
    """How often the sealed split has been opened by now. An evaluation that was interrupted opens it only once."""
    if not note.exists():
        write_whole(note, str(store.open_test_split(dataset.id)).encode())
    return int(note.read_text())


def _evidence(recipe: Recipe, asked: Asked, confidence: float) -> Evidence:
    """All figures, with Holm's correction over metrics and parts together."""
    comparisons, unavailable = [], {}
    for metric, scorer in SCORERS.items():
        if scorer.needs_likelihood and any(reply.likelihood is None for reply in (*asked.base, *asked.tuned)):
            unavailable[metric] = "a model cannot say how likely it finds an answer"
            continue
        comparisons.append(_compare(metric, recipe, asked, confidence))
    slices = _slices(recipe, asked, confidence)
    p_values = {c.metric: c.p_values["randomisation"] for c in comparisons}
    adjusted = holm(p_values | {name: part.p_values["randomisation"] for name, part in slices.items()})
    return Evidence(
        [c.model_copy(update={"adjusted_p_value": adjusted[c.metric]}) for c in comparisons],
        unavailable,
        {name: part.model_copy(update={"adjusted_p_value": adjusted[name]}) for name, part in slices.items()},
    )


def _compare(metric: str, recipe: Recipe, asked: Asked, confidence: float) -> Comparison:
    scorer = SCORERS[metric]
    references = [example.answer.text for example in asked.examples]
    clusters = clusters_of(asked.examples, recipe.data.keep_together)
    base, tuned = (score(scorer, references, replies) for replies in (asked.base, asked.tuned))
    bootstrap = Bootstrap(confidence, recipe.evaluation.resamples, recipe.seed)
    return compare(metric, scorer, base, tuned, clusters, bootstrap)


def _slices(recipe: Recipe, asked: Asked, confidence: float) -> dict[str, Comparison]:
    """The first promotion metric by topic and group, where a slice has enough examples to say anything."""
    metric = recipe.promotion.better_on[0]
    if SCORERS[metric].needs_likelihood and asked.base[0].likelihood is None:
        return {}
    slices = {}
    for tag in SLICE_TAGS:
        for value in sorted({example.tags[tag] for example in asked.examples if tag in example.tags}):
            chosen = [i for i, example in enumerate(asked.examples) if example.tags.get(tag) == value]
            if SMALLEST_SLICE <= len(chosen) < len(asked.examples):
                slices[f"{tag}: {value}"] = _compare(metric, recipe, asked.where(chosen), confidence)
    return slices


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
