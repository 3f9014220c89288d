"""The real clients in three major versions each, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sonneteer.chat import Answer, Options, Piece, StopReason
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Prompt, ToolCall
from sonneteer.serving import Keys, create_key
from sonneteer.store import Store

CALLS = Path(__file__).parent / "client_calls.py"
CLIENTS = Path(os.environ.get("SONNETEER_CLIENTS") or Path(__file__).parents[2] / ".venv" / "clients")
OLDER = {"oldest": (0, 1), "older": (1, 2)}
"""Folders with older clients, and their major versions of Anthropic's and OpenAI's."""


class ObedientChat:
    """Does what the last message tells it: `say WORDS`, `seed`, `call TOOL`, `fail`, `start and fail`."""

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        return [[piece.answer for piece in self.stream(prompt, options)][-1] for prompt in prompts]  # type: ignore[misc]

    def count_tokens(self, prompt: Prompt) -> int:
        return sum(len(message.text.split()) for message in prompt.messages)

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        order, _, words = prompt.messages[-1].text.partition(" ")
        if order == "fail":
            raise OSError("the secret words of the prompt")
        if order == "start":
            yield Piece("Well,")
            raise OSError("the secret words of the prompt")
        if order == "call":
            call = ToolCall(id="call_0", name=words, arguments={"city": "Ulm", "days": [1, 2]})
            yield Piece("<tool_call>")
            yield Piece("", self._answer(prompt, "Let me see.", "tool_use", calls=(call,)))
            return
        text = str(options.seed) if order == "seed" else words.removeprefix(options.prefill)
        cuts = [(text.find(stop), stop) for stop in options.stop if stop in text]
        if cuts:
            cut, stop = min(cuts)
            yield Piece(text[:cut])
            yield Piece("", self._answer(prompt, text[:cut], "stop_sequence", stop=stop))
            return
        kept = " ".join(text.split(" ")[: options.max_tokens])
        yield from (Piece(character) for character in kept)
        yield Piece("", self._answer(prompt, kept, "end" if kept == text else "length"))

    def _answer(
        self, prompt: Prompt, text: str, reason: StopReason, stop: str | None = None, calls: tuple[ToolCall, ...] = ()
    ) -> Answer:
        return Answer(
            text=text,
            stop_reason=reason,
            stop_sequence=stop,
            tool_calls=calls,
            prompt_tokens=self.count_tokens(prompt),
            answer_tokens=len(text.split()),
        )


class DeafChat(ObedientChat):
    """Never comes to an end."""

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        while True:
            time.sleep(0.02)
            yield Piece("")


class Servers(NamedTuple):
    """What the clients talk to."""

    url: str
    busy_url: str
    key: str
    small_key: str
    """May ask once a minute."""


@pytest.fixture
def servers(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    store = Store(tmp_path_factory.mktemp("workspace"))
    ring = store.keys
    key = create_key(ring, "tests")
    small_key = create_key(ring, "small", requests_per_minute=1)
    free = start(
        keys=Keys.of(ring), shelf=store.shelf, context=100, poet=ObedientChat(), **{"org/critic": ObedientChat()}
    )
    busy = start(DeafChat(), ServingSettings(max_queue=1))
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "say nothing"}], "stream": True}
    with busy.open("POST", "/v1/messages", body), busy.open("POST", "/v1/messages", body):  # they fill the queue
        yield Servers(free.url, busy.url, key, small_key)


def calls(servers: Servers, folder: str | None) -> dict[str, Any]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPENAI_"))}
    if folder:
        settings["PYTHONPATH"] = folder
    done = subprocess.run(
        [sys.executable, str(CALLS), *servers], env=settings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_newest_clients_find_everything_as_they_expect_it(servers: Servers) -> None:
    told = calls(servers, None)
    assert {name: text for name, text in told["found"].items() if text != "ok"} == {}
    assert len(told["found"]) > 20


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "majors"), OLDER.items())
def test_clients_of_older_major_versions_find_everything_as_they_expect_it(
    servers: Servers, folder: str, majors: tuple[int, int]
) -> None:
    place = CLIENTS / folder
    if not (place / "anthropic").is_dir():
        pytest.skip(f"{place} holds no older clients: python dev.py clients installs them")
    told = calls(servers, str(place))
    assert {name: text for name, text in told["found"].items() if text != "ok"} == {}
    assert (major(told["anthropic"]), major(told["openai"])) == majors


def major(number: str) -> int:
    return int(number.split(".")[0])
