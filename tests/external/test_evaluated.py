"""A model behind an API takes part in an evaluation: no answer is lost or paid twice, and failures say what to do."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sonneteer.chat import Options
from sonneteer.cli.pages import verdict_page
from sonneteer.errors import RefusalError, RequestError
from sonneteer.evaluation.ask import Arm, ask
from sonneteer.evaluation.evaluate import Arms, Contest, evaluate
from sonneteer.external import ServerChat
from sonneteer.external import server as asking
from sonneteer.progress import Silent
from sonneteer.recipe.sections import ExternalSettings, JudgeSettings
from sonneteer.records import Report
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat
from tests.evaluation.test_evaluate import dataset, dossier, examples, recipe, run
from tests.external.speaking import Host, Said, gpt, speaking

EXAMPLES = examples(12)
FAILS = 5
"""The question that fails or is declined."""


def report(store: Store, url: str, key_variable: str | None = None, is_judged: bool = False) -> Report:
    external = ExternalSettings(name="big", url=url, model="m", key_variable=key_variable)
    settings = recipe().evaluation.model_copy(
        update={
            "externals": (external,),
            "judge": JudgeSettings(by="big" if is_judged else None),
            "resamples": 200,
        }
    )
    big = Arm("big", ServerChat(external), external.version)
    arms = Arms(ScriptedChat(["something else"]), ScriptedChat(["the right answer"]), (big,))
    if is_judged:
        arms = arms._replace(judge=big)
    asked = recipe().model_copy(update={"evaluation": settings})
    return evaluate(Contest(asked, run(), dataset(), arms, EXAMPLES), store, Silent())


def failing(said: Said) -> Callable[[dict[str, Any]], Said]:
    """One question fails the first time, and all others are answered."""
    left = [said]

    def script(request: dict[str, Any]) -> Said:
        question = request["messages"][-1]["content"]
        return left.pop() if left and question == f"question {FAILS}" else gpt(f"on {question}")

    return script


def questions(host: Host) -> list[str]:
    return [asked["messages"][-1]["content"] for asked in host.asked]


@pytest.mark.parametrize(
    ("said", "todo"),
    [
        (Said({"error": {"message": "bad key"}}, 401), r"status 401: bad key\. .*`key_variable`"),
        (Said({"error": {"message": "not yours"}}, 403), r"status 403: not yours\. .*`key_variable`"),
        (Said({"error": {"message": "no such model"}}, 404), r"no such model\. Check `url` and `model` \('m'\)"),
        (Said({"error": {"message": "too long"}}, 400), r"too long\. .*does not take this question for 'm'"),
        (Said(b"<html>Log in</html>"), r"sent no JSON, but an HTML page\. Check that `url`"),
        (Said(b"<html>nginx</html>", 405), r"status 405: an HTML page"),
        (Said({"hello": "world"}), r"no answer of the API openai.*Check `api`"),
    ],
)
def test_a_failed_question_is_named_loses_no_other_and_is_asked_again_alone(
    said: Said, todo: str, tmp_path: Path
) -> None:
    with speaking(failing(said)) as host:
        big = Arm("big", ServerChat(ExternalSettings(name="big", url=host.url, model="m")), "1")
        with pytest.raises(RequestError, match=todo) as caught:
            ask(big, EXAMPLES, Options(), tmp_path / "answers", 8, lambda count: None)
        assert f"'big' did not answer example {EXAMPLES[FAILS].id}" in str(caught.value)
        assert "the same command goes on where it stopped" in str(caught.value)
        assert isinstance(caught.value, RefusalError) is (said.status == 400)
        answered = [question for question in questions(host) if question != f"question {FAILS}"]
        assert len((tmp_path / "answers").read_text().splitlines()) == len(answered) >= FAILS
        replies = ask(big, EXAMPLES, Options(), tmp_path / "answers", 8, lambda count: None)
    assert sorted(questions(host)) == sorted([*(f"question {i}" for i in range(12)), f"question {FAILS}"])
    assert [reply.text for reply in replies] == [f"on question {i}" for i in range(12)]


def test_an_evaluation_that_a_wrong_key_stopped_goes_on_as_the_same_look(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with speaking(failing(Said({"error": {"message": "bad key"}}, 401))) as host:
        with pytest.raises(RequestError, match="goes on where it stopped"):
            report(store, host.url)
        made = report(store, host.url)
    assert len(host.asked) == 12 + 1
    assert made.against["big"][0].examples == 12
    assert made.test_openings == 1
    assert store.test_openings("data-1", [EXAMPLES[0].id]) == 1, "the same evaluation again is the same look"


def test_a_server_that_is_not_there_costs_one_look_and_another_variable_for_the_key_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ATTEMPTS", 1)
    monkeypatch.setenv("BIG_KEY", "secret")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it, and it refuses
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for variable in (None, None, "BIG_KEY"):
            with pytest.raises(
                RequestError, match=r"'big' did not answer.*refused.*Check that the server runs.*goes on"
            ):
                report(Store(tmp_path), url, variable)
    assert Store(tmp_path).test_openings("data-1", [EXAMPLES[0].id]) == 1


@pytest.mark.parametrize(
    ("said", "text"), [(gpt(None, refusal="I cannot."), "I cannot."), (gpt("", "content_filter"), "")]
)
def test_a_declined_question_is_an_answer_scored_as_it_stands_and_counted(
    said: Said, text: str, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    with speaking(failing(said)) as host:
        made = report(store, host.url)
        assert report(store, host.url).declined == made.declined == {"big": 1}
    assert len(host.asked) == 12
    assert made.against["big"][0].examples == 12
    assert "1 question was declined by big" in dossier(tmp_path, made)
    verdict = Console(width=200, record=True, file=io.StringIO())
    verdict.print(verdict_page(made))
    assert "1 question was declined by big" in verdict.export_text()
    lines = map(json.loads, (store.folder("demo-1") / "answers.jsonl").read_text().splitlines())
    assert [line["text"] for line in lines if line["stop_reason"] == "refusal"] == [text]


def test_a_judge_that_fails_is_asked_only_what_it_did_not_rule(tmp_path: Path) -> None:
    rulings, store = 0, Store(tmp_path)

    def script(request: dict[str, Any]) -> Said:
        nonlocal rulings
        rulings += "<answer_a>" in request["messages"][-1]["content"]
        return Said({"error": {"message": "no more"}}, 403) if rulings == 9 else gpt("The first. A")

    with speaking(script) as host:
        with pytest.raises(RequestError, match=r"'big' did not answer.*no more"):
            report(store, host.url, is_judged=True)
        made = report(store, host.url, is_judged=True)
    assert made.judging is not None
    assert made.judging.order_share == 1
    assert rulings == 24 + 1, "12 pairs in two orders, and the one that failed"
