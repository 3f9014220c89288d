"""The verdict follows from the intervals and the promotion rules, and says why."""

from __future__ import annotations

import pytest

from sonneteer.errors import RecipeError
from sonneteer.evaluation import verdict as verdicts
from sonneteer.evaluation.verdict import Evidence, Judgement, check_arms, check_metrics
from sonneteer.recipe.sections import EvaluationSettings, PromotionSettings
from sonneteer.records import Comparison, Interval


def gain(metric: str, low: float, value: float, high: float) -> Comparison:
    figure = Interval(value=1.0, low=0.9, high=1.1)
    interval = Interval(value=value, low=low, high=high)
    return Comparison(metric=metric, higher_is_better=True, base=figure, tuned=figure, gain=interval, examples=50)


def judge(comparisons: list[Comparison], unavailable: dict[str, str], rules: PromotionSettings) -> Judgement:
    return verdicts.judge(Evidence(comparisons, unavailable), rules, 0.95)


BETTER = PromotionSettings(better_on=("rouge_l",))


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"),
    [
        (0.1, 0.2, 0.3, "better"),
        (-0.1, 0.1, 0.3, "cannot tell"),
        (-0.3, -0.2, -0.1, "not better"),
        (0, 0, 0, "not better"),
    ],
)
def test_the_whole_interval_decides(low: float, value: float, high: float, verdict: str) -> None:
    assert judge([gain("rouge_l", low, value, high)], {}, BETTER).verdict == verdict


def test_no_gain_at_all_is_a_gain_of_zero_and_not_of_minus_zero() -> None:
    said = judge([gain("perplexity", -0.0, -0.0, 0.0)], {}, PromotionSettings()).rules[0].reason
    assert "a gain of 0 (between 0 and 0 with confidence)" in said


def test_one_broken_rule_outweighs_all_that_are_met() -> None:
    rules = PromotionSettings(better_on=("rouge_l",), not_worse_on={"chrf": 0.05})
    comparisons = [gain("rouge_l", 0.1, 0.2, 0.3), gain("chrf", -0.3, -0.2, -0.1)]
    assert judge(comparisons, {}, rules).verdict == "not better"


def test_a_loss_within_the_margin_is_allowed() -> None:
    rules = PromotionSettings(better_on=("rouge_l",), not_worse_on={"chrf": 0.05})
    comparisons = [gain("rouge_l", 0.1, 0.2, 0.3), gain("chrf", -0.04, -0.02, 0.01)]
    assert judge(comparisons, {}, rules).verdict == "better"


def test_when_it_cannot_tell_it_says_how_many_examples_would() -> None:
    (reason,) = judge([gain("rouge_l", -0.1, 0.1, 0.3)], {}, BETTER).reasons
    assert "About 221 test examples instead of 50" in reason


def test_a_metric_that_could_not_be_measured_decides_nothing() -> None:
    judgement = judge([], {"rouge_l": "the model is silent"}, BETTER)
    assert judgement.verdict == "cannot tell"
    assert "the model is silent" in judgement.reasons[0]


def test_unknown_metrics_are_refused_all_at_once_with_the_nearest_names() -> None:
    with pytest.raises(RecipeError) as problem:
        check_metrics(PromotionSettings(better_on=("perplexty",), not_worse_on={"rouge": 0.1}))
    assert "Did you mean 'perplexity'" in str(problem.value)
    assert "promotion.not_worse_on" in str(problem.value)


def test_no_rule_at_all_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least one metric"):
        check_metrics(PromotionSettings(better_on=()))


@pytest.mark.parametrize(("floor", "verdict"), [(0.8, "better"), (1.05, "cannot tell"), (1.2, "not better")])
def test_a_floor_is_kept_by_the_whole_interval_of_the_tuned_model(floor: float, verdict: str) -> None:
    rules = PromotionSettings(better_on=("rouge_l",), floors={"rouge_l": floor})
    assert judge([gain("rouge_l", 0.1, 0.2, 0.3)], {}, rules).verdict == verdict


def test_where_less_is_better_a_floor_is_a_ceiling() -> None:
    rules = PromotionSettings(better_on=("rouge_l",), floors={"perplexity": 1.2})
    low = gain("perplexity", 0.1, 0.2, 0.3).model_copy(update={"higher_is_better": False})
    judgement = judge([gain("rouge_l", 0.1, 0.2, 0.3), low], {}, rules)
    assert judgement.verdict == "better"
    assert judgement.rules[1].rule == "perplexity must be at most 1.2"


def test_an_interval_above_zero_is_not_enough_where_the_exact_test_says_chance() -> None:
    doubtful = gain("rouge_l", 0.01, 0.2, 0.3).model_copy(update={"p_values": {"randomisation": 0.08}})
    assert judge([doubtful], {}, BETTER).verdict == "cannot tell"


@pytest.mark.parametrize(("low", "verdict"), [(0.1, "better"), (-0.1, "cannot tell")])
def test_a_further_model_must_be_beaten_on_the_same_metrics(low: float, verdict: str) -> None:
    rules = PromotionSettings(better_on=("rouge_l",), better_than=("base", "few_shot"))
    against = {"few_shot": [gain("rouge_l", low, 0.2, 0.3)]}
    judgement = verdicts.judge(Evidence([gain("rouge_l", 0.1, 0.2, 0.3)], against=against), rules, 0.95)
    assert judgement.verdict == verdict
    assert "few_shot" in judgement.rules[0].rule


def test_a_champion_that_does_not_exist_yet_is_no_hindrance() -> None:
    rules = PromotionSettings(better_on=("rouge_l",), better_than=("base", "champion"))
    assert judge([gain("rouge_l", 0.1, 0.2, 0.3)], {}, rules).verdict == "better"


def test_a_model_that_must_be_beaten_has_to_take_part() -> None:
    with pytest.raises(RecipeError, match=r"few_shot does with evaluation\.few_shot"):
        check_arms(PromotionSettings(better_than=("few_shot",)), EvaluationSettings())
    check_arms(PromotionSettings(better_than=("few_shot",)), EvaluationSettings(few_shot=2))


def test_one_part_that_lost_blocks_unless_it_may_be_one_of_many_by_chance() -> None:
    rules = PromotionSettings(better_on=("rouge_l",), slices_not_worse=0.05)
    lost = gain("rouge_l", -0.3, -0.2, -0.1)
    for adjusted, expected in ((0.01, "not better"), (0.2, "better")):
        parts = {"topic: tax": lost.model_copy(update={"adjusted_p_value": adjusted})}
        judgement = verdicts.judge(Evidence([gain("rouge_l", 0.1, 0.2, 0.3)], {}, parts), rules, 0.95)
        assert judgement.verdict == expected
        assert "topic: tax" in judgement.reasons[1]
    assert verdicts.judge(Evidence([gain("rouge_l", 0.1, 0.2, 0.3)]), rules, 0.95).verdict == "cannot tell"
