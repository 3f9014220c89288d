"""Feedback over HTTP and by the command line: it names a message, says something, and is kept masked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sonneteer.circle import voice
from sonneteer.errors import MachineError, MissingError, RequestError
from sonneteer.recipe.sections import MonitoringSettings, PrivacySettings
from sonneteer.serving import Keys, Recorder, Watch, create_key
from sonneteer.serving import recorder as recorder_module
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def server(start: Any, store: Store) -> Any:
    recorder = Recorder(store.traffic, MonitoringSettings(), PrivacySettings())
    return start(ScriptedChat(["Hello there"]), watch=Watch(recorder))


def say(server: Any, **said: Any) -> Any:
    return server.ask("POST", "/v1/feedback", said)


@pytest.mark.parametrize("api", ["message", "complete"])
def test_feedback_is_kept_with_its_exchange_even_if_it_comes_at_once(server: Any, store: Store, api: str) -> None:
    id = getattr(server, api)("Hi").json["id"]
    reply = say(server, message_id=id, liked=False, stars=2, correction="Write to a@example.com", label="tone")
    assert (reply.status, reply.json["type"]) == (200, "feedback")
    (kept,) = store.traffic.feedback("poet")
    assert (kept.liked, kept.stars, kept.correction, kept.label) == (False, 2, "Write to [EMAIL]", "tone")
    assert store.traffic.exchange(kept.exchange_id).answer.text == "Hello there"
    assert reply.json["id"] == f"fb_{kept.id}"


def test_feedback_tells_by_which_key_it_came_and_not_whose_that_is(start: Any, store: Store) -> None:
    secrets = [create_key(store.keys, name) for name in ("billing", "app")]
    recorder = Recorder(store.traffic, MonitoringSettings(), PrivacySettings())
    server = start(ScriptedChat(["Hello there"]), keys=Keys.of(store.keys), watch=Watch(recorder))
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    for secret in (*secrets, secrets[0]):
        id = server.ask("POST", "/v1/messages", body, x_api_key=secret).json["id"]
        server.ask("POST", "/v1/feedback", {"message_id": id, "liked": True}, x_api_key=secret)
    kept = store.traffic.feedback("poet")
    digests = [key.digest for key in store.keys.all()]
    assert [one.key for one in kept] == [digests[0], digests[1], digests[0]]
    told = "".join(one.model_dump_json() for one in kept)
    assert not any(hint in told for key in store.keys.all() for hint in (key.name, key.sha256[:8]))


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"message_id": "msg_unknown", "liked": True}, 404, "no exchange 'unknown'"),
        ({"message_id": "msg_unknown"}, 400, "say at least one of liked"),
        ({"liked": True}, 400, "message_id: Field required"),
        ({"message_id": "m", "stars": 6}, 400, "stars"),
    ],
)
def test_feedback_that_says_nothing_or_of_nothing_is_refused(
    server: Any, said: dict[str, Any], status: int, words: str
) -> None:
    reply = say(server, **said)
    assert reply.status == status
    assert words in reply.json["error"]["message"]


def test_a_server_that_writes_nothing_down_takes_no_feedback(start: Any) -> None:
    reply = say(start(ScriptedChat(["Hi"])), message_id="m", liked=True)
    assert (reply.status, "writes no exchanges" in reply.text) == (404, True)


def test_feedback_can_be_given_without_the_server(server: Any, store: Store) -> None:
    id = server.message("Hi").json["id"]
    say(server, message_id=id, liked=True)
    given = voice.say(store, {"message_id": id, "stars": 4, "comment": None})
    assert [each.id for each in store.traffic.feedback("poet")][-1] == given.id
    with pytest.raises(MissingError):
        voice.say(store, {"message_id": "x", "stars": 4})
    with pytest.raises(RequestError, match="at least one"):
        voice.say(store, {"message_id": id})


def test_feedback_on_an_answer_that_still_waits_for_the_database_is_told_to_come_back(
    server: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> None:
        raise MachineError("The database is away.")

    monkeypatch.setattr(recorder_module, "PATIENCE_SECONDS", 0.05)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(store.traffic, "keep", away)
        id = server.message("Hi").json["id"]
        reply = server.ask("POST", "/v1/feedback", {"message_id": id, "liked": True})
    assert (reply.status, "wait for the database" in reply.text) == (503, True)
    assert int(reply.headers["retry-after"]) > 0
