"""The commands after deployment: review keys, going back, what is live."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sonneteer import deployments
from sonneteer.circle import watching
from sonneteer.cli.reviewing import review_cases
from sonneteer.monitoring import Case
from sonneteer.recipe import read_recipe
from sonneteer.records import DatasetVersion, Deployment, Exchange, Feedback, Message, ModelVersion, Prompt
from sonneteer.store import Store

from .conftest import Command

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def version(number: int, stage: str) -> ModelVersion:
    said = {"name": "demo", "base": "b", "base_fingerprint": "f", "folder": "x", "is_adapter": True, "run_id": "r"}
    more = {"id": f"demo-{number}", "number": number, "dataset_id": "d", "created_at": NOW, "stage": stage}
    return ModelVersion.model_validate(said | more)


def exchange(id: str) -> Exchange:
    return Exchange(
        id=id,
        name="demo",
        model_id="demo-1",
        conversation="c",
        created_at=NOW,
        prompt=Prompt(messages=(Message(role="user", text="Hi"),)),
        answer=Message(role="assistant", text="Hello"),
        seconds=0.1,
    )


@pytest.fixture
def store(folder: Path) -> Store:
    store = Store(folder / "workspace")
    for number, stage in ((1, "retired"), (2, "champion")):
        store.save(version(number, stage))
    store.traffic.keep([exchange("a"), exchange("b")])
    return store


def test_feedback_is_kept_and_an_unknown_message_is_something_to_change(sonneteer: Command, store: Store) -> None:
    assert sonneteer("feedback", "msg_a", "--bad", "--correction", "Good day").code == 0
    (kept,) = store.traffic.feedback("demo")
    assert (kept.exchange_id, kept.liked, kept.correction) == ("a", False, "Good day")
    unknown = sonneteer("feedback", "msg_zzz", "--good")
    assert (unknown.code, "no exchange 'zzz'" in unknown.err) == (3, True)
    nothing = sonneteer("feedback", "msg_a")
    assert (nothing.code, "--good, --bad, --stars" in nothing.err) == (3, True)


def test_an_unknown_model_is_told_with_those_that_there_are(sonneteer: Command, store: Store) -> None:
    for command in ("deployment", "rollback"):
        assert "There is no model 'other'" in sonneteer(command, "other").err
        assert "It has: demo." in sonneteer(command, "other").err


def test_rolling_back_brings_the_former_champion_back_and_says_why(sonneteer: Command, store: Store) -> None:
    assert "none to go back to" in sonneteer("rollback", "demo").err
    deployments.deploy(store, "demo", "better", champion_id="demo-2", previous_champion_id="demo-1")
    said = sonneteer("rollback", "demo", "--because", "it rhymes badly", "--json")
    assert said.document["deployment"]["champion_id"] == "demo-1"
    assert [store.get(ModelVersion, f"demo-{number}").stage for number in (1, 2)] == ["champion", "retired"]
    lines = sonneteer("deployment", "demo").out.splitlines()
    assert lines[0].endswith("demo-1  it rhymes badly")
    assert lines[1].endswith("demo-2  better")


def test_rolling_back_a_trial_ends_it(sonneteer: Command, store: Store) -> None:
    deployments.deploy(store, "demo", "a try", phase="canary", candidate_id="demo-1", canary_share=0.1)
    assert "demo-1 in canary (10%)" in sonneteer("deployment", "demo").out
    assert sonneteer("rollback", "demo").code == 0
    newest = store.latest(Deployment, "demo")
    assert newest is not None
    assert (newest.champion_id, newest.phase) == ("demo-2", "full")


def test_a_schedule_that_meets_another_improve_leaves_it_the_work_and_a_person_is_told(
    sonneteer: Command, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = SimpleNamespace(health=SimpleNamespace(verdict="retrain"))
    monkeypatch.setattr(watching, "monitor", lambda *_: bad)
    with store.writing("improve-demo"):
        scheduled, by_hand = sonneteer("improve", "--if-needed"), sonneteer("improve")
    assert (scheduled.code, scheduled.out.splitlines()[1]) == (0, "Nothing to do")
    assert (by_hand.code, "working on 'improve-demo'" in by_hand.err) == (3, True)


def test_what_was_decided_one_by_one_is_shown_again_the_newest_first(store: Store, folder: Path) -> None:
    for id, opinion in (("a", "approved"), ("b", "refused")):
        said = {"id": f"f{id}", "exchange_id": id, "name": "demo", "created_at": datetime.now(UTC), "liked": True}
        store.traffic.say(Feedback.model_validate(said | {"opinion": opinion}))
        store.traffic.keep([exchange(id).model_copy(update={"created_at": datetime.now(UTC)})])
    keys = iter(["a", "r"])
    cases = watching.reviewed(read_recipe(folder / "recipe.yaml"), store, most=9)
    assert [(case.exchange.id, case.why) for case in cases] == [("b", "refused before"), ("a", "approved before")]
    review_cases(cases, store, Console(quiet=True), lambda _: next(keys))
    assert {one.exchange_id: one.opinion for one in store.traffic.feedback("demo")} == {"b": "approved", "a": "refused"}


def test_a_reviewer_approves_refuses_corrects_and_judges(store: Store) -> None:
    said = Feedback(id="f", exchange_id="a", name="demo", created_at=NOW, correction="Good day")
    store.traffic.say(said)
    cases = [Case(exchange("a"), said, "a user said something"), Case(exchange("b"), None, "unlike")]
    keys = iter(["x", "a", "c", "Welcome, Refunds"])
    pressed = review_cases(cases, store, Console(quiet=True), lambda _: next(keys))
    assert pressed == {"a": 1, "c": 1}
    by_exchange = {one.exchange_id: one for one in store.traffic.feedback("demo")}
    assert (by_exchange["a"].opinion, by_exchange["a"].by) == ("approved", "user")
    assert (by_exchange["b"].opinion, by_exchange["b"].by) == ("approved", "reviewer")
    assert by_exchange["b"].correction == "Welcome, Refunds"  # a reviewer's words are not taken for names


def test_the_review_stops_at_the_end_of_the_input(store: Store) -> None:
    def ended(_: str) -> str:
        raise EOFError

    assert review_cases([Case(exchange("b"), None, "unlike")], store, Console(quiet=True), ended) == {}


def test_harvest_and_improve_say_of_what_they_learn_nothing_is_sealed(
    sonneteer: Command, store: Store, folder: Path
) -> None:
    (folder / "recipe.yaml").write_text("name: demo\ndata: {sources: a.jsonl}\nmonitoring: {retention_days: 36500}\n")
    split = {"prepared_from": "0", "splits": {}, "sources": (), "totals": {}, "ledger_file": "0.jsonl"}
    store.save(DatasetVersion.model_validate({"id": "d", "name": "demo", "created_at": NOW, **split}))
    for id in "abcdef":
        store.traffic.keep([exchange(id)])
        said = {"id": id, "exchange_id": id, "name": "demo", "created_at": NOW, "opinion": "approved"}
        store.traffic.say(Feedback.model_validate(said | {"correction": f"{id} good day", "label": "greetings"}))
    warning = "Nothing with the label 'greetings' is sealed"
    (told,) = sonneteer("harvest", "--json").document["unproven"]
    assert told.startswith(warning)
    assert "all 6 exchanges are learned (one group" in told
    assert warning in sonneteer("harvest").out
    assert told in sonneteer("improve", "--json").document["reasons"]
