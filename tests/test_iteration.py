"""From one model to the next: a curve, cases, advice and a comparison, on a tiny model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonneteer import iteration, lifecycle
from sonneteer.cli import main
from sonneteer.errors import DataError, MissingError, RecipeError
from sonneteer.evaluation import Mistake
from sonneteer.progress import Silent
from sonneteer.recipe import LoadedRecipe, read_recipe
from sonneteer.records import DatasetVersion, Exchange, Feedback, Message, Prompt, Run
from sonneteer.store import Store

from .made import easy_recipe
from .models.networks import saved

NOW = datetime(2026, 1, 2, tzinfo=UTC)

RECIPE = """\
name: tiny
data: {sources: rows.jsonl}
base: {model: base}
training: {rank: 4, epochs: 1, learning_rate: 0.01}
evaluation: {metrics: [exact_match], max_answer_tokens: 4, resamples: 200, learning_curve: [0.5], noise_draws: 2}
"""


@pytest.fixture
def work(tmp_path: Path) -> tuple[LoadedRecipe, Store]:
    saved("llama", tmp_path / "base")
    return easy_recipe(tmp_path, RECIPE), Store(tmp_path / "workspace")


def test_each_step_leads_to_the_next(
    work: tuple[LoadedRecipe, Store], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, store = work
    assert lifecycle.plan(loaded, store, Silent()).detectable[0].is_in_deviations
    case = iteration.add_case(
        loaded, store, Mistake((Message(role="user", text="Say 1"),), "Bad day.", "Good day to you.")
    )
    report = lifecycle.evaluate(loaded, store, Silent())
    (point,), (outcome,) = report.learning_curve, report.cases
    whole = store.get(DatasetVersion, report.dataset_id).splits["train"].examples
    assert (point.share, point.examples) == (0.5, -(-whole // 2))
    assert (outcome.case_id, outcome.was_fixed) == (case.id, False)
    assert report.decode_noise.keys() == {"exact_match"}
    assert lifecycle.evaluate(loaded, store, Silent()) == report, "nothing is done again"
    assert lifecycle.plan(loaded, store, Silent()).detectable[0].basis.endswith(report.id)
    longer = read_recipe(loaded.path, ["--training.epochs", "2"])
    lifecycle.train(longer, store, Silent())
    (first, second), _, page = iteration.compare(store, ["tiny-1", "tiny-2"])
    assert first.report == report
    assert second.report is None
    text, document = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    for words in ("training.epochs", "not evaluated", "Side by side".lower(), page.with_suffix(".json").name):
        assert words in text
    assert (len(document["runs"]), document["is_comparable"]) == (2, True)
    monkeypatch.chdir(loaded.folder)
    assert main(["compare", "tiny-1", "tiny-2", report.id]) == 0
    shown = capsys.readouterr().out
    assert "training.epochs" in shown
    assert "exact match" in shown
    assert main(["advise"]) == 0
    assert "sonneteer evaluate" in capsys.readouterr().out
    assert main(["case", "list"]) == 0
    assert "Good day to you." in capsys.readouterr().out
    assert main(["case", "add", "--ask", "Say 2"]) == 3
    assert main(["case", "add", "--ask", "Say 2", "--bad", "No.", "--good", "Yes.", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["case"]["good"] == "Yes."


def test_a_live_answer_that_was_bad_becomes_a_case_with_its_whole_conversation(
    work: tuple[LoadedRecipe, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, store = work
    asked = Prompt(messages=(Message(role="system", text="Be brief."), Message(role="user", text="Say 9")))
    lived = {"name": "tiny", "model_id": "tiny-1", "conversation": "c", "created_at": NOW, "seconds": 1.0}
    answer = Message(role="assistant", text="Bad day.")
    store.traffic.keep([Exchange.model_validate({**lived, "id": "x1", "prompt": asked, "answer": answer})])
    monkeypatch.chdir(loaded.folder)
    assert main(["case", "add", "--exchange", "x1"]) == 3
    store.traffic.say(Feedback(id="f1", exchange_id="x1", name="tiny", created_at=NOW, correction="Good day."))
    assert main(["case", "add", "--exchange", "x1"]) == 0
    (case,) = iteration.cases(loaded, store)
    assert (case.prompt, case.bad, case.good) == (asked.messages, "Bad day.", "Good day.")


def test_rules_and_files_that_do_not_exist_are_told_before_anything_is_trained(
    work: tuple[LoadedRecipe, Store],
) -> None:
    loaded, store = work
    wrong = read_recipe(loaded.path, ["--promotion.better_on", "[rouge_x]", "--promotion.better_than", "[few_shot]"])
    for stage in (lifecycle.plan, lifecycle.search, lifecycle.train, lifecycle.evaluate):
        with pytest.raises(RecipeError, match="Did you mean 'rouge_l'") as told:
            stage(wrong, store, Silent())
        assert len(told.value.problems) == 2
    missing = read_recipe(loaded.path, ["--evaluation.suites", "[{kind: retention, path: no.jsonl, at_most: 0.1}]"])
    for stage in (lifecycle.search, lifecycle.evaluate):
        with pytest.raises(DataError, match=r"no\.jsonl"):
            stage(missing, store, Silent())
    assert not store.find(Run)


def test_what_is_not_there_is_named(work: tuple[LoadedRecipe, Store]) -> None:
    with pytest.raises(MissingError, match="no run, model or report 'tiny-8', 'tiny-9'"):
        iteration.compare(work[1], ["tiny-8", "tiny-9"])


@pytest.mark.parametrize(
    ("good", "must"), [("", ()), ("No.", ()), ("no", ()), ("Yes.", ("perhaps",)), ("No, yes.", ("no",))]
)
def test_a_case_that_cannot_tell_good_from_bad_is_refused(
    good: str, must: tuple[str, ...], work: tuple[LoadedRecipe, Store]
) -> None:
    with pytest.raises(RecipeError, match="would not tell the good answer"):
        iteration.add_case(*work, Mistake((Message(role="user", text="Well?"),), "No.", good, must))
    assert iteration.cases(*work) == ()
