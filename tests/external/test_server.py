"""Models behind an API are asked as our own server understands it, in both dialects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from sonneteer.chat import Options
from sonneteer.errors import RecipeError, RequestError
from sonneteer.external import ServerChat
from sonneteer.external import server as asking
from sonneteer.recipe.sections import ExternalSettings, ServingSettings
from sonneteer.records import Message, Prompt, ToolCall
from sonneteer.serving import Keys, ServedModel, create_app
from sonneteer.serving.listen import server
from sonneteer.testing import ScriptedChat

PROMPT = Prompt(messages=(Message(role="system", text="be brief"), Message(role="user", text="How are you?")))


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, ScriptedChat]]:
    chat = ScriptedChat(["very well indeed"])
    model = ServedModel("ours", chat, datetime.now(UTC), 512)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = server(create_app([model], ServingSettings(), Keys({})), ServingSettings())
        thread = threading.Thread(target=host.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", chat
        host.should_exit = True
        thread.join()


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize("ending", ["", "/v1"])
def test_the_question_arrives_and_the_answer_comes_back(
    api: str, ending: str, served: tuple[str, ScriptedChat]
) -> None:
    url, chat = served
    settings = ExternalSettings.model_validate({"name": "big", "url": url + ending, "model": "ours", "api": api})
    (answer,) = ServerChat(settings).answer([PROMPT], Options())
    assert (answer.text, answer.stop_reason) == ("very well indeed", "end")
    assert chat.asked[-1].messages == PROMPT.messages
    (cut,) = ServerChat(settings).answer([PROMPT], Options(max_tokens=2))
    assert (cut.text, cut.stop_reason) == ("very well", "length")


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_tools_their_calls_and_what_they_said_arrive(api: str, served: tuple[str, ScriptedChat]) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": schema}}
    calls = tuple(ToolCall(id=f"t{city}", name="weather", arguments={"city": city}) for city in ("Rome", "Oslo"))
    turns = (
        Message(role="user", text="Where is it warmer?"),
        Message(role="assistant", text="Let me see.", tool_calls=calls),
        Message(role="tool", text="20", tool_call_id="tRome"),
        Message(role="tool", text="5", tool_call_id="tOslo"),
        Message(role="assistant", text="In Rome."),
        Message(role="user", text="Thanks!"),
    )
    settings = ExternalSettings.model_validate({"name": "big", "url": served[0], "model": "ours", "api": api})
    ServerChat(settings).answer([Prompt(messages=turns, tools=(tool,))], Options())
    assert served[1].asked[-1] == Prompt(messages=turns, tools=(tool,))


def test_a_refusal_is_told_with_the_server_s_words(served: tuple[str, ScriptedChat]) -> None:
    settings = ExternalSettings(name="big", url=served[0], model="nobody")
    with pytest.raises(RequestError, match="status 404"):
        ServerChat(settings).answer([PROMPT], Options())


def test_a_server_that_is_not_there_is_tried_again_and_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(asking.time, "sleep", waits.append)
    with pytest.raises(RequestError, match=r"refused.*Check that the server runs, and `url`"):
        ServerChat(ExternalSettings(name="big", url="http://127.0.0.1:9", model="m")).answer([PROMPT], Options())
    assert len(waits) == asking.ATTEMPTS - 1


def test_a_key_that_is_not_set_is_said_before_anything_is_asked() -> None:
    settings = ExternalSettings(name="big", url="http://127.0.0.1:9", model="m", key_variable="NO_SUCH_KEY_HERE")
    with pytest.raises(RecipeError, match="NO_SUCH_KEY_HERE"):
        ServerChat(settings)
