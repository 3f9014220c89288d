"""Advice names what promises most, with its evidence, and says when to stop."""

from __future__ import annotations

import pytest

from sonneteer.evaluation.advice import Advice, Facts, Searched, advise
from sonneteer.records import Comparison, CurvePoint, Interval, LedgerEntry, Report

from .test_evaluate import NOW, dataset, run

RUN = run().model_copy(update={"best_validation_loss": 2.0, "train_loss": 1.9, "best_step": 8, "steps": 10})


def figures(metric: str, tuned: float, examples: int = 100, spread: float = 0.01) -> Comparison:
    return Comparison(
        metric=metric,
        higher_is_better=True,
        base=Interval(value=0.1, low=0.1, high=0.1),
        tuned=Interval(value=tuned, low=tuned - spread, high=tuned + spread),
        gain=Interval(value=tuned - 0.1, low=0.01, high=1),
        examples=examples,
    )


REPORT = Report(
    id="report-1",
    run_id=RUN.id,
    dataset_id="data-1",
    created_at=NOW,
    confidence=0.95,
    comparisons=(figures("rouge_l", 0.8),),
    verdict="better",
    reasons=(),
    side_by_side=(),
    answers_file="f",
    seconds=1,
    test_openings=1,
)
CALM = Searched(own_loss=2.0, best_loss=2.0, settings={})


def given(**changes: object) -> list[Advice]:
    report = REPORT.model_copy(update=changes)
    return advise(Facts(RUN, report, dataset(), [], CALM))


def test_a_part_that_is_worse_beyond_chance_comes_with_what_it_costs_the_whole() -> None:
    parts = {"topic: refunds": figures("rouge_l", 0.4, 25), "topic: tea": figures("rouge_l", 0.79, 75, 0.02)}
    first, *others = given(slices=parts)
    assert first.what == "Collect examples of topic: refunds."
    assert first.gain == pytest.approx((0.8 - 0.4) * 25 / 100 / 0.8)
    assert not any("tea" in one.what for one in others)


@pytest.mark.parametrize(("before", "words"), [(2.4, "Collect more examples"), (2.005, "the learning curve is flat")])
def test_the_learning_curve_says_whether_more_of_the_same_helps(before: float, words: str) -> None:
    points = (CurvePoint(share=0.5, examples=6, validation_loss=before),)
    assert any(words in one.what for one in given(learning_curve=points))


def test_contradictory_rows_are_named_and_a_better_search_comes_first() -> None:
    odd = [
        LedgerEntry(source="a", row=i, fate="train", remarks=("contradicts a:9, which asks the same",)) for i in (1, 2)
    ]
    found = Searched(own_loss=2.0, best_loss=1.0, settings={"training.learning_rate": 1e-3})
    first, second, *_ = advise(Facts(RUN, REPORT, dataset(), odd, found))
    assert first.what == "Use the settings that the search found: training.learning_rate: 0.001."
    assert first.gain == 0.5
    assert second.places == ("a:1", "a:2")


def test_within_noise_of_the_ceiling_it_is_time_to_stop() -> None:
    assert given(comparisons=(figures("exact_match", 0.995),))[0].what.startswith("Stop here: it is within noise")
    assert not any("ceiling" in one.what for one in given(comparisons=(figures("exact_match", 0.9),)))


def test_without_a_report_the_first_thing_is_to_evaluate() -> None:
    assert "sonneteer evaluate" in advise(Facts(RUN, None, dataset(), [], CALM))[0].what
