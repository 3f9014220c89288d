"""Batches behind the live traffic: they give way, survive a restart, and belong to whoever created them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sonneteer.chat import Answer, Options, Piece
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Batch, Prompt, StoredFile
from sonneteer.serving import Keys, batch_work, create_key
from sonneteer.serving.batch_job import Job, Result
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_work, "LOOK_SECONDS", 0.02)


class GatedChat(ScriptedChat):
    """Answers `wait` only when the gate is open, and everything else at once."""

    def __init__(self) -> None:
        super().__init__(["Hello there"])
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.told: list[str] = []

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        text = prompt.messages[-1].text
        while text.startswith("wait") and not self.gate.wait(0.01):
            self.waiting.set()
            yield Piece("")
        self.told.append(text)
        yield Piece("", Answer(text=text, stop_reason="end", prompt_tokens=1, answer_tokens=1))


def requests(*texts: str) -> dict[str, Any]:
    said = [[{"role": "user", "content": text}] for text in texts]
    params = [{"model": "poet", "max_tokens": 9, "messages": messages} for messages in said]
    return {"requests": [{"custom_id": str(number), "params": each} for number, each in enumerate(params)]}


def create(server: Any, *texts: str, **headers: str) -> str:
    told = server.ask("POST", "/v1/messages/batches", requests(*texts), **headers)
    assert told.status == 200, told.text
    return str(told.json["id"])


def batch(server: Any, id: str, **headers: str) -> dict[str, Any]:
    return dict(server.ask("GET", f"/v1/messages/batches/{id}", **headers).json)


def is_ended(server: Any, id: str, **headers: str) -> bool:
    return batch(server, id, **headers)["processing_status"] == "ended"


def results(server: Any, id: str, **headers: str) -> dict[str, str]:
    """What became of each request."""
    lines = server.ask("GET", f"/v1/messages/batches/{id}/results", **headers).text.splitlines()
    told = [json.loads(line) for line in lines]
    assert len({line["custom_id"] for line in told}) == len(told)
    return {line["custom_id"]: line["result"]["type"] for line in told}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_live_request_goes_first_and_the_batch_is_answered_afterwards(
    start: Any, store: Store, eventually: Eventually
) -> None:
    chat = GatedChat()
    server = start(chat, shelf=store.shelf)
    id = create(server, "wait a", "wait b")
    assert chat.waiting.wait(10)
    assert server.message("live").status == 200  # the model answers one at a time, and was busy with the batch
    assert chat.told == ["live"]
    chat.gate.set()
    assert eventually(lambda: is_ended(server, id))
    assert results(server, id) == {"0": "succeeded", "1": "succeeded"}
    assert sorted(chat.told) == ["live", "wait a", "wait b"]


def test_a_batch_survives_a_restart_and_asks_nothing_twice(start: Any, store: Store, eventually: Eventually) -> None:
    first, second = GatedChat(), GatedChat()
    server = start(first, shelf=store.shelf)
    id = create(server, "quick", "wait")
    assert first.waiting.wait(10)
    assert eventually(lambda: first.told == ["quick"])
    server.stop()
    second.gate.set()
    again = start(second, shelf=Store(store.root).shelf)
    assert eventually(lambda: is_ended(again, id))
    assert results(again, id) == {"0": "succeeded", "1": "succeeded"}
    assert (first.told, second.told) == (["quick"], ["wait"])


def test_of_two_servers_on_one_workspace_only_one_works_on_a_batch(
    start: Any, store: Store, eventually: Eventually
) -> None:
    chats = [ScriptedChat(["Hello"]), ScriptedChat(["Hello"])]
    servers = [start(chat, shelf=store.shelf) for chat in chats]
    id = create(servers[1], *"abcdefgh")
    assert eventually(lambda: is_ended(servers[0], id))
    assert sorted(len(chat.asked) for chat in chats) == [0, 8]


def test_a_cancelled_batch_ends_with_what_was_answered(
    start: Any, store: Store, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = [], batch_work.BatchWork._look

    async def counted(work: batch_work.BatchWork) -> None:
        await look(work)
        looks.append(1)

    monkeypatch.setattr(batch_work.BatchWork, "_look", counted)
    chat = GatedChat()
    server = start(chat, shelf=store.shelf)
    id = create(server, *(f"wait {number}" for number in range(9)))
    assert chat.waiting.wait(10)
    assert batch(server, id)["request_counts"]["processing"] == 9
    told = server.ask("POST", f"/v1/messages/batches/{id}/cancel").json
    assert told["processing_status"] == "canceling"
    assert server.ask("DELETE", f"/v1/messages/batches/{id}").status == 400
    before = len(looks)
    assert eventually(lambda: len(looks) > before + 1)  # the one that had begun, and one that saw it
    chat.gate.set()
    assert eventually(lambda: is_ended(server, id))
    found = results(server, id)
    assert len(found) == 9
    assert set(found.values()) == {"succeeded", "canceled"}
    counts = batch(server, id)["request_counts"]
    assert counts["succeeded"] + counts["canceled"] == 9


def test_what_is_not_answered_in_time_expires(start: Any, store: Store, eventually: Eventually) -> None:
    server = start(ScriptedChat(["Hello"]), ServingSettings(batch_hours=1e-9), shelf=store.shelf)
    id = create(server, "a", "b")
    assert eventually(lambda: is_ended(server, id))
    assert results(server, id) == {"0": "expired", "1": "expired"}


def test_a_key_sees_its_own_batches_and_files_and_an_admin_sees_all(
    start: Any, store: Store, eventually: Eventually
) -> None:
    ring = store.keys
    mine, other = ({"x_api_key": create_key(ring, name)} for name in ("mine", "other"))
    admin = {"x_api_key": create_key(ring, "admin", "admin")}
    server = start(ScriptedChat(["Hello"]), keys=Keys.of(ring), shelf=store.shelf)
    id = create(server, "a", **mine)
    for method, more in (("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", "")):
        assert server.ask(method, f"/v1/messages/batches/{id}{more}", **other).status == 404
    for who, seen in ((mine, [id]), (other, []), (admin, [id])):
        assert [each["id"] for each in server.ask("GET", "/v1/messages/batches", **who).json["data"]] == seen
    assert eventually(lambda: is_ended(server, id, **admin))


def test_a_revoked_key_asks_for_nothing_any_more(start: Any, store: Store, eventually: Eventually) -> None:
    ring, chat = store.keys, GatedChat()
    key = {"x_api_key": create_key(ring, "gone")}
    admin = {"x_api_key": create_key(ring, "admin", "admin")}
    server = start(chat, ServingSettings(batch_streams=1), keys=Keys.of(ring), shelf=store.shelf)
    id = create(server, "wait a", "wait b", **key)
    assert chat.waiting.wait(10)
    ring.remove("gone")
    assert eventually(lambda: batch(server, id, **admin)["cancel_initiated_at"] is not None)
    chat.gate.set()
    assert eventually(lambda: is_ended(server, id, **admin))
    assert "canceled" in results(server, id, **admin).values()


def test_a_batch_that_streams_is_told_what_is_wrong(start: Any, store: Store, eventually: Eventually) -> None:
    server = start(ScriptedChat(["Hello"]), shelf=store.shelf)
    body = requests("a")
    body["requests"][0]["params"]["stream"] = True
    id = server.ask("POST", "/v1/messages/batches", body).json["id"]
    assert eventually(lambda: is_ended(server, id))
    line = json.loads(server.ask("GET", f"/v1/messages/batches/{id}/results").text)
    assert line["result"]["error"]["error"]["message"].startswith("stream: ")


@pytest.mark.parametrize(("settings", "words"), [({"max_upload_mb": 1}, "1 MB"), ({"uploads_gb": 1e-4}, "Delete some")])
def test_too_much_is_refused_and_leaves_nothing_behind(
    start: Any, store: Store, settings: dict[str, Any], words: str
) -> None:
    server = start(ScriptedChat(["Hello"]), ServingSettings(**settings), shelf=store.shelf)
    told = server.ask("POST", "/v1/messages/batches", requests("x" * 2**20))
    assert (told.status, told.json["error"]["type"]) == (413, "request_too_large")
    assert words in told.json["error"]["message"]
    form = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    form += (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 2**21 + b"\r\n--b--\r\n"
    )
    told = server.ask("POST", "/v1/files", form, content_type="multipart/form-data; boundary=b")
    assert told.status == 413
    assert words in told.json["error"]["message"]
    assert list(store.root.glob("uploads/*")) == []
    assert store.shelf.find(StoredFile) == []


@pytest.mark.parametrize("body", [b"", b"--b", b"--b\r\n\r\n--b--\r\n", b"no form at all"])
def test_what_is_no_form_is_refused_in_words(start: Any, store: Store, body: bytes) -> None:
    server = start(ScriptedChat(["Hello"]), shelf=store.shelf)
    assert server.ask("POST", "/v1/files", body, content_type="multipart/form-data; boundary=b").status == 400
    assert server.ask("POST", "/v1/files", body).status == 400


# Files of a batch --------------------------------------------------------------------------------


def kept(store: Store, count: int = 3) -> Batch:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    batch = Batch(
        id="msgbatch_1",
        name="poet",
        owner="",
        api="anthropic",
        path="/v1/messages",
        size=1,
        requests=count,
        created_at=now,
        expires_at=now + timedelta(days=1),
    )
    lines = [json.dumps({"custom_id": str(number), "params": {}}) + "\n" for number in range(count)]
    store.shelf.path(batch.id, "requests").write_text("".join(lines))
    store.shelf.save(batch)
    return batch


def test_what_holds_the_batches_up_is_told_once_and_in_words(
    start: Any, store: Store, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def broken(job: Job) -> None:
        tries.append(1)
        raise ZeroDivisionError("a private text")

    monkeypatch.setattr(Job, "next", broken)
    create(start(ScriptedChat(["Hello"]), shelf=store.shelf), "hello")

    def told() -> list[str]:
        lines = [record.message for record in caplog.records if record.name == batch_work.__name__]
        return [line.split(" at ")[0] for line in lines]

    assert eventually(lambda: told() != [])
    before = len(tries)
    assert eventually(lambda: len(tries) > before + 2)
    assert told() == ["Batches wait. ZeroDivisionError"]


def test_half_a_line_that_a_crash_left_is_asked_again(store: Store) -> None:
    batch = kept(store)
    job = Job(store.shelf, batch)
    assert job.next()
    job.write(Result("0", "succeeded", 200, {}))
    with open(store.shelf.path(batch.id, "results"), "ab") as stream:
        stream.write(b'{"custom_id": "1", "resu')
    again = Job(store.shelf, batch)
    assert again.counts == {"succeeded": 1}
    assert [item.custom_id for item in iter(again.next, None)] == ["1", "2"]


def test_results_are_deleted_when_their_time_has_come(store: Store) -> None:
    batch = kept(store)
    job = Job(store.shelf, batch)
    job.end("expired")
    ended = datetime(2026, 3, 2, tzinfo=UTC)
    store.shelf.save(batch.model_copy(update={"ended_at": ended}))
    store.shelf.forget(ended + timedelta(days=28), timedelta(days=29))
    assert store.shelf.path(batch.id, "results").exists()
    store.shelf.forget(ended + timedelta(days=30), timedelta(days=29))
    assert not store.shelf.path(batch.id, "results").exists()
    assert store.shelf.get(Batch, batch.id).archived_at is not None


def test_only_its_owner_reads_what_clients_left(store: Store, start: Any) -> None:
    server = start(ScriptedChat(["Hello"]), ServingSettings(batch_streams=1), shelf=store.shelf)
    create(server, "a secret")
    assert store.root.joinpath("uploads").stat().st_mode & 0o077 == 0
