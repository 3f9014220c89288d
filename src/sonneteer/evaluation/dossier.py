"""The dossier: one HTML file that a non-expert can read and decide by. Nothing on the page asks the network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from sonneteer.evaluation.brief import Brief, brief_of
from sonneteer.evaluation.charts import gains_svg, learning_curve_svg, losses_svg, read_metrics
from sonneteer.evaluation.learning_curve import LearningCurve, learning_curve_of
from sonneteer.evaluation.scorers import SCORERS
from sonneteer.pages import count, percent, templates_of
from sonneteer.records import Comparison, DatasetVersion, Fate, LedgerEntry, Report, Run
from sonneteer.store import write_whole
from sonneteer.store.prices import Prices

HEADLINES = {
    "better": "Better than its base. It may be shipped.",
    "not better": "A rule for its promotion is broken. Do not ship it.",
    "cannot tell": "This test cannot tell whether it is better. Do not ship it yet.",
}
OUTCOMES = {"better": "met", "not better": "broken", "cannot tell": "cannot tell"}
FATES: dict[Fate, str] = {
    "train": "learned from",
    "validation": "watched the training, never learned from",
    "test": "sealed until this comparison",
    "replay": "general examples, mixed into the training against forgetting",
    "duplicate": "says exactly what another row says",
    "near_duplicate": "says nearly what another row says",
    "contaminated": "holds text of an evaluation set",
    "dropped": "broke a rule that the recipe sets",
    "broken": "could not be read",
    "too_long": "longer than the limit; nothing is ever cut",
    "nothing_to_learn": "holds no answer to learn",
    "private": "held personal data that may not stay",
    "disliked": "an answer that people rejected",
}
LISTED_ROWS = 200


class Papers(NamedTuple):
    """What a dossier tells of."""

    report: Report
    run: Run
    dataset: DatasetVersion
    ledger: Sequence[LedgerEntry]
    metrics_path: Path
    prices: Prices | None = None


def write_dossier(papers: Papers, target: Path) -> Path:
    """Write the page, and all its figures beside it as JSON; returns the page's path."""
    report, run, dataset, ledger, metrics_path, prices = papers
    limits = _limits(report, dataset)
    brief = brief_of(report, run, limits, prices)
    curve = learning_curve_of(report, run, dataset)
    environment = templates_of("sonneteer.evaluation")
    environment.tests |= {"holding": lambda c: (c.adjusted_p_value or 1.0) <= 1 - report.confidence}
    page = environment.get_template("dossier.html.jinja").render(
        report=report,
        run=run,
        dataset=dataset,
        headline=HEADLINES[report.verdict],
        brief=brief,
        figures=target.with_suffix(".json").name,
        outcomes=OUTCOMES,
        key=_key_comparison(report),
        fates=[(fate, dataset.totals[fate], FATES[fate]) for fate in FATES if dataset.totals.get(fate)],
        problem_rows=[entry for entry in ledger if entry.reason][:LISTED_ROWS],
        hidden_rows=max(0, sum(bool(entry.reason) for entry in ledger) - LISTED_ROWS),
        metrics={name: scorer.says for name, scorer in SCORERS.items()},
        losses=Markup(losses_svg(read_metrics(metrics_path))),
        gains=Markup(gains_svg({"tuned": report.comparisons})),
        curve=curve,
        curve_plot=Markup(learning_curve_svg(curve)) if curve else None,
        instructions=_instructions(report),
        asked_elsewhere=[name for name in report.against if name not in ("few_shot", "champion")],
        settings=_settings(run),
        limits=limits,
    )
    write_whole(target, page.encode("utf-8"))
    write_whole(target.with_suffix(".json"), _as_json(papers, brief, curve, limits))
    return target


def _as_json(papers: Papers, brief: Brief, curve: LearningCurve | None, limits: list[str]) -> bytes:
    """Every figure of the page. The ledger's rows stand in the workspace."""
    figures: dict[str, Any] = {
        "verdict": papers.report.verdict,
        "brief": brief.model_dump(mode="json"),
        "report": papers.report.model_dump(mode="json"),
        "run": papers.run.model_dump(mode="json") | {"generalisation_gap": papers.run.generalisation_gap},
        "dataset": papers.dataset.model_dump(mode="json"),
        "learning_curve": curve.model_dump(mode="json") if curve else None,
        "losses": read_metrics(papers.metrics_path),
        "limits": limits,
    }
    return json.dumps(figures, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def _key_comparison(report: Report) -> Comparison | None:
    return report.comparisons[0] if report.comparisons else None


def _instructions(report: Report) -> str | None:
    """The system prompt that all shown questions have in common."""
    found = {tuple(m.text for m in one.prompt if m.role == "system") for one in report.side_by_side}
    (texts,) = found if len(found) == 1 else ((),)
    return texts[0] if texts else None


def _settings(run: Run) -> dict[str, Any]:
    training = run.recipe["training"]
    names = ["method", "learning_rate", "epochs", "batch_size", "schedule", "optimizer", "weight_decay"]
    names += ["rank", "alpha", "dropout"] if training["method"] == "lora" else []
    return {name: training[name] for name in names} | {"seed": run.recipe["seed"]}


UNTESTED = {
    "stereotype": "Whether it favours stereotypes",
    "swaps": "Whether it answers alike when only a name, a pronoun or a group changes",
    "refusal": "Whether it still refuses what is harmful",
    "injection": "Whether it follows orders in retrieved text",
    "retention": "What it forgot of other tasks",
}


def _limits(report: Report, dataset: DatasetVersion) -> list[str]:
    """What this dossier does not show, said plainly."""
    examples = report.comparisons[0].examples if report.comparisons else 0
    limits = [
        f"The comparison rests on {examples} test examples from the same sources as the training data. Questions of "
        "another kind may be answered better or worse.",
        "One training with one random seed was measured. Another seed gives slightly other figures.",
        "Likeness to the reference answers is measured, not truth: a fluent wrong answer can score well.",
    ]
    if report.memorisation is None:
        limits.append("What the model remembers of single examples was not tested; evaluation.memorisation can.")
    kinds = {re.split(r"[ ,]", name)[0].replace("harness", "retention") for name in report.suites}
    missing = [f"{what} was not tested; evaluation.suites can." for kind, what in UNTESTED.items() if kind not in kinds]
    limits += missing
    if report.test_openings > 1:
        limits.insert(
            1,
            f"The sealed test split has been opened {report.test_openings} times. Each look makes it easier to be "
            f"fooled by chance, so this one had to convince at {percent(report.confidence)} confidence. Fresh test "
            "examples start again at the first look.",
        )
    limits += [
        f"{count(number, 'question')} {'was' if number == 1 else 'were'} declined by {name}: what it said instead, if "
        "anything, is scored as it stands."
        for name, number in report.declined.items()
    ]
    if dataset.totals.get("broken"):
        limits.append(
            f"{count(dataset.totals['broken'], 'source row')} could not be read: nothing above knows of "
            f"{'it' if dataset.totals['broken'] == 1 else 'them'}."
        )
    return limits
