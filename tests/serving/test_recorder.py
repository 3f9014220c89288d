"""What is written down of the traffic: masked, by the recipe's rules, whatever the database does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sonneteer.errors import MachineError
from sonneteer.recipe.sections import MonitoringSettings, PrivacySettings
from sonneteer.records import Exchange, Message, Prompt, fingerprint_of
from sonneteer.serving import Recorder, Watch
from sonneteer.serving.traffic import exchange_id, visit_of
from sonneteer.testing import ScriptedChat


class Notebook:
    """A log in memory. While it is closed it cannot be written."""

    def __init__(self) -> None:
        self.written: list[Exchange] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.tries = 0

    def keep(self, exchanges: Sequence[Exchange]) -> None:
        self.tries += 1
        if not self.is_open.is_set():
            raise MachineError("The database is away.")
        self.written += exchanges


def exchange(said: str = "Hello", **more: Any) -> Exchange:
    return Exchange(
        id="e",
        name="poet",
        model_id="poet-1",
        conversation="0" * 16,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        prompt=Prompt(messages=(Message(role="user", text=said),)),
        answer=Message(role="assistant", text=f"You said: {said}"),
        seconds=0.1,
        **more,
    )


def recorder(notebook: Notebook, **settings: Any) -> Recorder:
    return Recorder(notebook, MonitoringSettings(**settings), PrivacySettings(emails="keep"))


Eventually = Callable[[Callable[[], bool]], bool]


def test_no_personal_data_is_written_down_even_where_training_keeps_it() -> None:
    notebook = Notebook()
    writing = recorder(notebook)
    writing.note(exchange("I am ilse@example.com, call +49 30 901820", shadow_answer="Mail ilse@example.com"))
    writing.close()
    (kept,) = notebook.written
    assert kept.prompt.messages[0].text == "I am [EMAIL], call [PHONE]"
    assert (kept.answer.text, kept.shadow_answer) == ("You said: I am [EMAIL], call [PHONE]", "Mail [EMAIL]")
    assert kept.masked == {"emails": 3, "phones": 2}


def test_the_server_neither_waits_nor_fails_while_the_database_is_away(
    eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = Notebook()
    notebook.is_open.clear()
    writing = recorder(notebook, max_unwritten=5)
    writing.note(exchange("first"))
    assert eventually(lambda: notebook.tries > 0)
    for number in range(20):
        writing.note(exchange(str(number)))
    tally = writing.tally()
    assert (tally.written, tally.waiting, tally.lost, tally.trouble) == (0, 5, 16, "The database is away.")
    notebook.is_open.set()
    assert eventually(lambda: writing.tally().written == 5)
    assert writing.tally().trouble == ""
    said = [record.message for record in caplog.records if record.name == "sonneteer.serving.recorder"]
    assert len(said) == 2  # when it began and when it ended, and not once a try
    writing.close()


def test_a_recorder_that_is_closed_writes_what_still_waits() -> None:
    notebook = Notebook()
    writing = recorder(notebook)
    for number in range(250):
        writing.note(exchange(str(number)))
    writing.close(seconds=60)
    assert [each.prompt.messages[0].text for each in notebook.written] == [str(number) for number in range(250)]


def test_a_page_that_cannot_be_read_again_is_told_and_what_comes_later_is_written(
    tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = Notebook()
    notebook.is_open.clear()
    writing = Recorder(notebook, MonitoringSettings(), PrivacySettings(), tmp_path)
    writing.note(exchange("first"))
    assert eventually(lambda: notebook.tries > 0)  # the first page is being written: the next one only waits
    writing.note(exchange("second"))
    for page in sorted(tmp_path.glob("*.jsonl"))[1:]:
        page.unlink()
    notebook.is_open.set()
    assert eventually(lambda: writing.tally() == (1, 0, 1, ""))
    writing.note(exchange("third"))
    assert eventually(lambda: writing.tally().written == 2)
    assert "1 exchanges cannot be read again" in caplog.text
    assert [each.prompt.messages[0].text for each in notebook.written] == ["first", "third"]
    writing.close()


def test_a_server_deletes_what_is_too_old_as_soon_as_it_starts(eventually: Eventually) -> None:
    asked = threading.Event()
    writing = Recorder(Notebook(), MonitoringSettings(), PrivacySettings(), forget=asked.set)
    assert eventually(asked.is_set)
    writing.close()


def test_the_recipe_says_whose_conversations_are_written_down() -> None:
    conversations = [fingerprint_of(number) for number in range(4000)]

    def share(**settings: Any) -> float:
        writing = recorder(Notebook(), **settings)
        wanted = [writing.is_wanted(each) for each in conversations]
        assert wanted == [writing.is_wanted(each) for each in conversations]
        writing.close()
        return sum(wanted) / len(wanted)

    assert share(record="all") == 1
    assert share(record="none") == 0
    assert share(record="share", recorded_share=0.25) == pytest.approx(0.25, abs=0.03)


def test_all_turns_of_a_conversation_have_one_name() -> None:
    asked = (Message(role="system", text="Be kind."), Message(role="user", text="Hi"))
    later = (*asked, Message(role="assistant", text="Hello"), Message(role="user", text="And now?"))
    first, second = (visit_of({}, Prompt(messages=messages)) for messages in (asked, later))
    assert first.conversation == second.conversation
    named = visit_of({"x-sonneteer-conversation": "mine"}, Prompt(messages=asked))
    assert named.conversation == fingerprint_of("mine") != first.conversation


# Over HTTP -----------------------------------------------------------------------------------------


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def server(start: Any, notebook: Notebook) -> Any:
    return start(ScriptedChat(["Hello there", "Good bye"]), watch=Watch(recorder(notebook)))


def test_every_answer_is_written_down_under_the_id_that_the_client_got(
    server: Any, notebook: Notebook, eventually: Eventually
) -> None:
    whole = server.message("One").json["id"]
    streamed = server.message("Two", stream=True).events[0]["message"]["id"]
    completion = server.complete("Three", n=2).json["id"]
    assert eventually(lambda: len(notebook.written) == 4)
    ids = [each.id for each in notebook.written]
    assert ids == [exchange_id(each) for each in (whole, streamed, completion)] + [exchange_id(completion) + "-1"]
    first = notebook.written[0]
    assert (first.prompt.messages[0].text, first.answer.text, first.stop_reason) == ("One", "Hello there", "end")
    assert (first.name, first.model_id, first.answer_tokens) == ("poet", "poet", 2)
    assert first.first_token_seconds is not None
    assert 0 <= first.first_token_seconds <= first.seconds


def test_a_request_that_does_not_want_to_is_not_written_down(
    server: Any, notebook: Notebook, eventually: Eventually
) -> None:
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "secret"}]}
    assert server.ask("POST", "/v1/messages", body, x_sonneteer_record="No").status == 200
    server.message("public")
    assert eventually(lambda: len(notebook.written) == 1)
    assert notebook.written[0].prompt.messages[0].text == "public"
