"""What a training costs elsewhere is measured before and after, and more than is allowed forbids the promotion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sonneteer.chat import Likelihood
from sonneteer.errors import DataError
from sonneteer.evaluation.intervals import Bootstrap
from sonneteer.evaluation.suites import measure_suite, read_suite, suite_rule
from sonneteer.recipe.sections import SuiteSettings
from sonneteer.records import Example
from sonneteer.testing import ScriptedChat

HOW = Bootstrap(0.95, 1000, 0)


class Weighing(ScriptedChat):
    """Finds each text so likely a character, and texts with some words likelier."""

    def __init__(self, nats: float, favourite: str = "") -> None:
        super().__init__(["a"])
        self.nats, self.favourite = nats, favourite
        self.likelihoods = self._weigh

    def _weigh(self, examples: Sequence[Example]) -> list[Likelihood]:
        texts = [example.answer.text for example in examples]
        bonus = [50.0 if self.favourite and self.favourite in text else 0.0 for text in texts]
        return [Likelihood(b - self.nats * len(t), 1, 1, len(t)) for t, b in zip(texts, bonus, strict=True)]


@pytest.mark.parametrize(("after", "expected"), [(1.0, "better"), (1.05, "better"), (1.2, "not better")])
def test_forgetting_beyond_the_margin_is_refused(after: float, expected: str, tmp_path: Path) -> None:
    settings = SuiteSettings(kind="retention", at_most=0.1)
    told = measure_suite(read_suite(settings, tmp_path), Weighing(1.0), Weighing(after), HOW)
    assert told is not None
    assert told.base.value == pytest.approx(1.4427, abs=1e-3)
    assert suite_rule(settings, told).verdict == expected


def test_a_stereotype_that_was_learned_is_seen_in_the_format_of_crows_pairs(tmp_path: Path) -> None:
    rows = "".join(f"a nurse {i} is a woman,a nurse {i} is a man{'ly one' * (i % 2)}\n" for i in range(40))
    (tmp_path / "pairs.csv").write_text("sent_more,sent_less\n" + rows)
    settings = SuiteSettings(kind="stereotype", path="pairs.csv", at_most=0.05)
    told = measure_suite(read_suite(settings, tmp_path), Weighing(1.0), Weighing(1.0, "woman"), HOW)
    assert told is not None
    assert (told.base.value, told.tuned.value) == (0.5, 1.0)
    assert suite_rule(settings, told).verdict == "not better"


def test_harm_that_is_not_excluded_is_said(tmp_path: Path) -> None:
    settings = SuiteSettings(kind="stereotype", at_most=0.001)
    told = measure_suite(
        read_suite(settings, tmp_path), Weighing(1.0), Weighing(1.0, "nurse came in, and it was a w"), HOW
    )
    outcome = suite_rule(settings, told)
    assert outcome.verdict == "cannot tell"
    assert "not excluded" in outcome.reason
    assert suite_rule(settings, None).verdict == "cannot tell"
    assert measure_suite(read_suite(settings, tmp_path), ScriptedChat(["a"]), Weighing(1.0), HOW) is None


@pytest.mark.parametrize(("text", "words"), [("{}\n", "field 'text'"), ("no\n", "line 1"), ("", "no rows")])
def test_a_broken_file_is_told_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(DataError, match=words):
        read_suite(SuiteSettings(kind="retention", path="t.jsonl", at_most=1), tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        read_suite(SuiteSettings(kind="retention", path="u.jsonl", at_most=1), tmp_path)
