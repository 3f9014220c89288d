"""The dossier's first page: three reasons, the gravest risks first, and costs by the user's own prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonneteer.evaluation.brief import brief_of, costs_of
from sonneteer.evaluation.dossier import Papers, write_dossier
from sonneteer.records import CaseOutcome, RuleOutcome, Usage
from sonneteer.store import Store
from sonneteer.store.prices import Managed, Priced, Prices

from .test_advice import REPORT, figures
from .test_evaluate import dataset, report, run

MEASURED = REPORT.model_copy(update={"usage": Usage(prompt_tokens=500, answer_tokens=100, seconds=0.36)})


def prices(hour: float | None = 0.5, million: float | None = 1.0) -> Prices:
    api = Managed(input_tokens=million, output_tokens=million)
    return Prices(currency="EUR", machines={"this machine": Priced(price_per_hour=hour)}, managed={"big": api})


def test_a_thousand_answers_cost_their_time_and_are_compared_with_their_tokens() -> None:
    costs = costs_of(MEASURED, prices())
    assert costs is not None
    assert costs.per_thousand == pytest.approx(1000 * 0.36 / 3600 * 0.5)
    (big,) = costs.managed
    assert big.per_thousand == pytest.approx(0.6)
    assert big.break_even == pytest.approx(0.5 * 730 / 0.0006, rel=0.01)
    assert big.break_even < costs.most_per_month == 7_300_000


def test_what_this_machine_cannot_manage_has_no_break_even_and_what_is_unknown_no_price() -> None:
    slow = MEASURED.model_copy(update={"usage": Usage(prompt_tokens=500, answer_tokens=100, seconds=36)})
    costs = costs_of(slow, prices())
    assert costs is not None
    assert costs.managed[0].break_even is None
    unknown = costs_of(MEASURED, prices(None, None))
    assert unknown is not None
    assert (unknown.per_thousand, unknown.managed) == (None, ())
    assert costs_of(REPORT, prices()) is None


def test_what_made_the_verdict_comes_first_and_what_speaks_against_it_is_named() -> None:
    rules = tuple(RuleOutcome(rule=f"r{i}", verdict=v, reason=f"r{i}.") for i, v in enumerate(("better", "not better")))
    back = CaseOutcome(case_id="c", question="q", answer="a", is_fixed=False, was_fixed=True)
    lost = figures("rouge_l", 0.1).model_copy(
        update={"gain": figures("rouge_l", 0.0).gain.model_copy(update={"high": -0.1})}
    )
    bad = REPORT.model_copy(
        update={"verdict": "not better", "rules": rules, "cases": (back,), "slices": {"topic: tea": lost}}
    )
    brief = brief_of(bad, run(), ["limit one", "limit two"], None)
    assert brief.reasons[:2] == ("Broken: r1.", "Met: r0.")
    assert len(brief.risks) == 3
    assert "mended are back" in brief.risks[0]
    assert "worse than its base on topic: tea" in brief.risks[1]


def test_what_no_rule_asks_for_fills_the_reasons_and_a_prompt_that_does_as_well_is_a_risk() -> None:
    rule = RuleOutcome(rule="perplexity must be better", verdict="better", reason="perplexity fell.")
    even = figures("rouge_l", 0.1).model_copy(
        update={"gain": figures("rouge_l", 0.1).gain.model_copy(update={"low": -0.1})}
    )
    told = REPORT.model_copy(update={"rules": (rule,), "against": {"few_shot": (even,)}})
    brief = brief_of(told, run(), ["limit"], None)
    assert brief.reasons[1:] == (
        "Rouge l is 0.1, and 0.1 for the base model with examples in its prompt: no difference is shown.",
        "Rouge l went from 0.1 to 0.8: better.",
    )
    assert "perhaps no training was needed" in brief.risks[0]


def test_every_figure_of_the_page_is_there_as_json(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": 2.5}\n')
    made = report(Store(tmp_path / "w"))
    page = write_dossier(Papers(made, run(), dataset(), [], metrics, prices()), tmp_path / "demo-dossier.html")
    figures_file = json.loads((tmp_path / "demo-dossier.json").read_text())
    assert figures_file["report"]["comparisons"][0]["gain"] == made.comparisons[0].gain.model_dump()
    assert len(figures_file["brief"]["reasons"]) >= 1
    text = page.read_text()
    assert "demo-dossier.json" in text
    assert "What may go wrong" in text
    assert "What a thousand answers cost" in text
