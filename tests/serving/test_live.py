"""Deployments in a running server: sticky shares, shadows that nobody hears, and changes that drop no request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sonneteer.chat import Options, Piece
from sonneteer.errors import MissingError
from sonneteer.records import Deployment, Exchange, Prompt, fingerprint_of
from sonneteer.serving import Live, ServedModel, Watch
from sonneteer.serving.live import is_drawn
from sonneteer.testing import ScriptedChat

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Eventually = Callable[[Callable[[], bool]], bool]


def deployment(number: int, **more: Any) -> Deployment:
    return Deployment.model_validate(
        {"id": f"poet-d{number}", "name": "poet", "created_at": NOW, "champion_id": "old", **more}
    )


def canary(share: float, number: int = 1) -> Deployment:
    return deployment(number, phase="canary", candidate_id="new", canary_share=share)


class Stage:
    """A live server whose deployment the test decides."""

    def __init__(self, start: Any, first: Deployment, **chats: Any) -> None:
        self.now = first
        self.opened: list[str] = []
        self.chats = {"old": ScriptedChat(["old"]), "new": ScriptedChat(["new"])} | chats
        self.told: list[Exchange] = []
        self.live = Live(lambda: self.now, self.open)
        self.server = start(ScriptedChat(["unused"]), watch=Watch(live=self.live, also=[self.told.append]))

    def open(self, id: str) -> ServedModel:
        if id not in self.chats:
            raise MissingError(f"There is no '{id}'.")
        self.opened.append(id)
        if isinstance(self.chats[id], Exception):
            raise self.chats[id]
        return ServedModel("poet", self.chats[id], NOW, None, id)

    def say(self, conversation: str = "c") -> str:
        body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        reply = self.server.ask("POST", "/v1/messages", body, x_sonneteer_conversation=conversation)
        assert reply.status == 200
        return str(reply.json["content"][0]["text"])


@pytest.fixture
def stage(start: Any) -> Callable[..., Stage]:
    return lambda first, **chats: Stage(start, first, **chats)


def test_the_canary_gets_its_share_of_the_conversations_and_keeps_them() -> None:
    trial = canary(0.2)
    conversations = [fingerprint_of(number) for number in range(5000)]
    drawn = [is_drawn(each, trial, 0.2) for each in conversations]
    assert sum(drawn) / len(drawn) == pytest.approx(0.2, abs=0.02)
    again = [is_drawn(each, canary(0.2, number=2), 0.2) for each in conversations]
    both = sum(one and other for one, other in zip(drawn, again, strict=True)) / len(drawn)
    assert both == pytest.approx(0.04, abs=0.02)  # each deployment draws anew


def test_a_conversation_stays_with_the_version_that_began_it(stage: Callable[..., Stage]) -> None:
    running = stage(canary(0.5))
    first = {str(number): running.say(str(number)) for number in range(12)}
    assert set(first.values()) == {"old", "new"}
    assert {name: running.say(name) for name in first} == first
    arms = {(each.model_id, each.arm) for each in running.told}
    assert arms == {("old", "champion"), ("new", "canary")}


def test_the_former_champion_keeps_a_share_while_the_new_one_is_watched(stage: Callable[..., Stage]) -> None:
    watched = {"champion_id": "new", "previous_champion_id": "old", "phase": "watched", "held_back_share": 0.4}
    running = stage(deployment(1, **watched))
    assert {running.say(str(number)) for number in range(12)} == {"old", "new"}
    assert {(each.model_id, each.arm) for each in running.told} == {("old", "former"), ("new", "champion")}


def test_a_new_deployment_takes_over_and_the_old_champion_stays_loaded(
    stage: Callable[..., Stage], eventually: Eventually
) -> None:
    running = stage(deployment(1))
    assert running.say() == "old"
    running.now = deployment(2, champion_id="new", previous_champion_id="old")
    assert eventually(lambda: running.say() == "new")
    running.now = deployment(3, previous_champion_id="new")
    assert eventually(lambda: running.say() == "old")
    assert running.opened == ["old", "new"]


def test_an_answer_under_way_is_finished_by_the_version_that_began_it(
    stage: Callable[..., Stage], eventually: Eventually
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    class Slow(ScriptedChat):
        def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
            has_begun.set()
            assert may_end.wait(30)
            yield from super().stream(prompt, options)

    running = stage(deployment(1), old=Slow(["old and whole"]))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(running.say()))
    asking.start()
    assert has_begun.wait(30)
    running.now = deployment(2, champion_id="new")
    assert eventually(lambda: running.live.deployment.champion_id == "new")
    may_end.set()
    asking.join(30)
    assert answers == ["old and whole"]
    assert running.say() == "new"


def test_a_version_that_cannot_be_loaded_leaves_the_deployment_as_it_is(
    stage: Callable[..., Stage], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    running = stage(deployment(1))
    running.now = deployment(2, champion_id="lost")
    assert eventually(lambda: "There is no 'lost'" in caplog.text)
    assert running.say() == "old"


def test_a_version_that_fails_in_a_way_that_nobody_foresaw_does_not_end_the_following(
    stage: Callable[..., Stage], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    running = stage(deployment(1), broken=ZeroDivisionError("a private text"))
    running.now = deployment(2, champion_id="broken")
    assert eventually(lambda: "The deployment stays poet-d1. ZeroDivisionError at" in caplog.text)
    assert "private" not in caplog.text
    running.now = deployment(3, champion_id="new")
    assert eventually(lambda: running.say() == "new")


def test_the_shadow_answers_the_same_question_and_nobody_hears_it(
    stage: Callable[..., Stage], eventually: Eventually
) -> None:
    running = stage(deployment(1, phase="shadow", candidate_id="new"))
    assert running.say() == "old"
    assert eventually(lambda: len(running.told) == 2)
    plain, compared = running.told
    assert (plain.shadow_answer, compared.shadow_answer, compared.shadow_model_id) == (None, "new", "new")
    assert (compared.id, compared.answer.text) == (plain.id, "old")


def test_a_shadow_that_fails_is_told_and_harms_nobody(stage: Callable[..., Stage], eventually: Eventually) -> None:
    class Broken(ScriptedChat):
        def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
            raise ZeroDivisionError

    running = stage(deployment(1, phase="shadow", candidate_id="new"), new=Broken([""]))
    assert running.say() == "old"
    assert eventually(lambda: [each.shadow_problem for each in running.told] == ["", "ZeroDivisionError"])
