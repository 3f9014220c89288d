"""A judge's preference counts only as far as it does not depend on order, and as far as people agree with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sonneteer.cli.judging import judge_pairs
from sonneteer.errors import RecipeError
from sonneteer.evaluation import verdict
from sonneteer.evaluation.ask import Arm
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.judging import Ballot, Pair, Ruling, ask_judge, judged, kappa, order_share, read_labels
from sonneteer.evaluation.verdict import Evidence, check_arms
from sonneteer.recipe.sections import EvaluationSettings, JudgeSettings, PromotionSettings
from sonneteer.records import Choice, Example, Judging, Message
from sonneteer.testing import ScriptedChat

HOW = Bootstrap(0.95, 1000, 0)


def pairs(count: int) -> list[Pair]:
    return [
        Pair(
            Example(messages=(Message(role="user", text=f"q{i}"), Message(role="assistant", text="a"))),
            base="short",
            tuned="much longer",
        )
        for i in range(count)
    ]


def test_each_pair_is_asked_in_both_orders_and_what_follows_the_order_is_a_tie(tmp_path: Path) -> None:
    chat = ScriptedChat(["A is clearer. B", "Both are fine: a", "Hm.", "A", "A", "tie"])
    rulings = ask_judge(Arm("judge", chat, "1"), "Which is better?", pairs(3), tmp_path / "answers")
    assert rulings == [Ruling("tuned", "tuned"), Ruling("base", "tuned"), Ruling("tie", "tie")]
    assert [ruling.choice for ruling in rulings] == ["tuned", "tie", "tie"]
    assert order_share(rulings) == pytest.approx(1 / 3)
    first, second = chat.asked[0].messages[0].text, chat.asked[3].messages[0].text
    assert first.index("short") < first.index("much longer")
    assert second.index("much longer") < second.index("short")


def test_kappa_follows_cohen_s_definition() -> None:
    one: list[Choice] = ["tuned"] * 45 + ["base"] * 15 + ["tuned"] * 25 + ["base"] * 15
    other: list[Choice] = ["tuned"] * 60 + ["base"] * 40
    one = ["tuned"] * 45 + ["base"] * 15 + ["tuned"] * 25 + ["base"] * 15
    told = kappa(one, other, HOW)
    assert told.value == pytest.approx((0.6 - 0.54) / (1 - 0.54))
    assert told.low < told.value < told.high
    assert kappa(one, one, HOW).value == pytest.approx(1.0)
    assert kappa(["tie"] * 5, ["tie"] * 5, HOW).value == 0.0


def judging(people: int, by: str = "big") -> Judging:
    of = pairs(40)
    choices: dict[str, Choice] = {pair.example.id: "tuned" if i % 5 else "base" for i, pair in enumerate(of)}
    labels = {pair.example.id: choices[pair.example.id] for pair in of[:people]}
    told = judged(of, choices, labels, np.arange(40), HOW)
    assert told is not None
    return told.model_copy(update={"by": by})


@pytest.mark.parametrize(("people", "by", "expected"), [(0, "big", "cannot tell"), (40, "big", "better")])
def test_a_model_decides_only_after_agreeing_with_people(people: int, by: str, expected: str) -> None:
    rules = PromotionSettings(better_on=(), judge_prefers=True)
    assert verdict.judge(Evidence([], judging=judging(people, by)), rules, 0.95).verdict == expected


def test_people_need_no_leave_and_a_judge_at_odds_with_them_decides_nothing() -> None:
    rules = PromotionSettings(better_on=(), judge_prefers=True)
    assert verdict.judge(Evidence([], judging=judging(0, "people")), rules, 0.95).verdict == "better"
    strict = rules.model_copy(update={"least_kappa": 1.0})
    doubtful = judging(40).model_copy(update={"kappa": judging(40).preference.gain})
    told = verdict.judge(Evidence([], judging=doubtful), strict, 0.95)
    assert told.verdict == "cannot tell"
    assert "Label more pairs" in told.reasons[0]
    assert verdict.judge(Evidence([]), rules, 0.95).verdict == "cannot tell"


def test_preference_ties_and_length_are_counted() -> None:
    told = judging(10)
    assert told.preference.tuned.value == pytest.approx(0.8)
    assert (told.longer_share, told.labelled, told.ties) == (pytest.approx(0.8), 10, 0)
    assert judged(pairs(3), {}, {}, np.arange(3), HOW) is None


def test_a_judge_must_be_somebody() -> None:
    with pytest.raises(RecipeError, match="nobody judges"):
        check_arms(PromotionSettings(judge_prefers=True), EvaluationSettings())
    with pytest.raises(RecipeError, match="no judge 'big'"):
        check_arms(PromotionSettings(), EvaluationSettings(judge=JudgeSettings(by="big")))


def test_people_see_pairs_blindly_and_their_choices_are_kept_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    ballot = Ballot(pairs(6), tmp_path / "labels.jsonl")
    keys = iter(["1", "what?", "2", "t", "q"])
    assert judge_pairs(ballot, Console(width=100), lambda _: next(keys)) == 3
    shown = capsys.readouterr().out
    assert "tuned" not in shown
    assert "base" not in shown
    one, two, three = ballot.pairs[:3]
    assert read_labels(ballot.path) == {
        one.example.id: "tuned" if one.is_tuned_first else "base",
        two.example.id: "base" if two.is_tuned_first else "tuned",
        three.example.id: "tie",
    }
    assert len(ballot.open_pairs()) == 3
