"""The noise floor bounds what two runs of one model differ by, and nothing is drawn unless asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sonneteer.evaluation.ask import Arm, Reply
from sonneteer.evaluation.noise import decode_noise, noise_of
from sonneteer.evaluation.outlook import outlook
from sonneteer.evaluation.scorers import SCORERS
from sonneteer.recipe.sections import EvaluationSettings
from sonneteer.testing import ScriptedChat

from .test_evaluate import examples, recipe


def test_two_runs_differ_by_less_as_often_as_the_confidence_says() -> None:
    rng, asked = np.random.default_rng(0), examples(40)
    chances = rng.random(len(asked))

    def run() -> list[Reply]:
        right = rng.random(len(asked)) < chances
        said = (e.answer.text if is_right else "no" for e, is_right in zip(asked, right, strict=True))
        return [Reply(text, "end", 1, None) for text in said]

    floor = noise_of(SCORERS["exact_match"], asked, [run() for _ in range(20)], 0.95)

    def share(replies: list[Reply]) -> float:
        return float(np.mean([r.text == e.answer.text for r, e in zip(replies, asked, strict=True)]))

    differences = [abs(share(run()) - share(run())) for _ in range(800)]
    assert np.mean(np.array(differences) <= floor) == pytest.approx(0.95, abs=0.03)


def test_draws_are_asked_for_by_number_and_kept(tmp_path: Path) -> None:
    chat, asked = ScriptedChat(["the right answer 0", "no"]), examples(3)
    journal = tmp_path / "answers.jsonl"
    arm, settings = Arm("tuned", chat, "v"), EvaluationSettings(noise_draws=2)
    assert decode_noise(arm, asked, EvaluationSettings(), ["exact_match"], journal) == {}
    found = decode_noise(arm, asked, settings, ["exact_match", "perplexity"], journal)
    assert found.keys() == {"exact_match"}
    count = len(chat.asked)
    assert decode_noise(arm, asked, settings, ["exact_match", "perplexity"], journal) == found
    assert (count, len(chat.asked)) == (6, 6)


def test_what_a_test_set_can_show_is_known_before_and_sharper_after_a_report() -> None:
    from .test_advice import REPORT, figures

    rules = recipe("exact_match", "rouge_l")
    guess, blind = outlook(rules, examples(50), None)
    assert 0.1 < guess.gain < 0.3
    assert "if the training changes whether 20% of the answers" in guess.basis
    assert (blind.is_in_deviations, blind.clusters) == (True, 50)
    known = figures("rouge_l", 0.8).model_copy(update={"clusters": 25, "detectable": 0.2})
    _, told = outlook(rules, examples(50), REPORT.model_copy(update={"comparisons": (known,)}))
    assert told.gain == pytest.approx(0.2 * (25 / 50) ** 0.5, rel=0.05)
    assert "report-1" in told.basis
    _, later = outlook(rules, examples(50), REPORT.model_copy(update={"comparisons": (known,)}), openings=3)
    assert later.gain > told.gain, "each look at the sealed examples costs"
