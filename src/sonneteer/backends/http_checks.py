"""The model over HTTP: our own server, started for a moment, answers the probes as the model in memory does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from sonneteer.chat import Answer, Options
from sonneteer.errors import RequestError
from sonneteer.models.engine.chat import EngineChat
from sonneteer.models.generate import LocalChat
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Check, Example
from sonneteer.records.rows import as_openai
from sonneteer.serving import Keys, ServedModel, create_app
from sonneteer.serving.listen import server

GREEDY_TOKENS = 16
LIKELIEST = 5  # as many as the API tells of
Served = EngineChat | LocalChat
Row = tuple[float | None, Mapping[str, float]]
"""Of one token: its log-probability, and by their texts those of the likeliest that could have stood there."""


class OverHttp:
    """A server that listens, and what it is asked."""

    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self._name = name

    def ask(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """An answer's body. Raises RequestError where the server refuses."""
        content = json.dumps({"model": self._name, "temperature": 0} | asked).encode()
        request = Request(self._address + path, content, {"Content-Type": "application/json"})
        try:
            with build_opener(ProxyHandler({})).open(request) as answered:  # never through a proxy: it is this machine
                told: dict[str, Any] = json.load(answered)
        except HTTPError as refused:
            with refused:
                raise RequestError(f"{path}: {refused.read().decode(errors='replace')}") from refused
        return told

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """How likely the served model finds each of these tokens."""
        told = self.ask("/v1/completions", {"prompt": list(ids), "max_tokens": 0, "echo": True, "logprobs": LIKELIEST})
        given = told["choices"][0]["logprobs"]
        pairs = zip(given["token_logprobs"], given["top_logprobs"], strict=True)
        return [(log_prob, likeliest or {}) for log_prob, likeliest in pairs]

    def answer(self, probe: Example) -> dict[str, Any]:
        """What it answers to a conversation, always the likeliest token."""
        asked: dict[str, Any] = {"messages": [as_openai(one) for one in probe.prompt.messages]}
        asked |= {"tools": list(probe.tools)} if probe.tools else {}
        return self.ask("/v1/chat/completions", asked | {"max_tokens": GREEDY_TOKENS})


@contextmanager
def listening(name: str, chat: Served, settings: ServingSettings) -> Iterator[OverHttp]:
    """Our server on a free port of this machine alone."""
    here = settings.model_copy(update={"host": "127.0.0.1"})
    app = create_app([ServedModel(name, chat, datetime.now(UTC), chat.context)], here, Keys(()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = server(app, here)
        thread = threading.Thread(target=host.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield OverHttp(f"http://127.0.0.1:{listener.getsockname()[1]}", name)
        finally:
            host.should_exit = True
            thread.join()


def check_answers(chat: Served, served: OverHttp, probes: Sequence[Example]) -> Check:
    """Ask the server what the model is asked in memory: as many tokens are read, and the same words come back."""
    asked = [probe for probe in probes if not probe.is_text]
    expected = chat.answer([probe.prompt for probe in asked], Options(max_tokens=GREEDY_TOKENS))
    differences = (
        f"Example {probe.id}: {difference}"
        for probe, answer in zip(asked, expected, strict=True)
        if (difference := _difference(answer, served.answer(probe)))
    )
    found = next(differences, None)
    says = found or f"{len(asked)} probe conversations."
    return Check(name="HTTP: the server answers as the model in memory does", is_passed=found is None, says=says)


def _difference(expected: Answer, told: dict[str, Any]) -> str:
    """What is not as in memory; empty where all is."""
    read, said = told["usage"]["prompt_tokens"], told["choices"][0]["message"]["content"] or ""
    if read != expected.prompt_tokens:
        return f"the server reads {read} tokens, and the model in memory {expected.prompt_tokens}."
    if said != expected.text:
        return f"the server answers {said!r}, and the model in memory {expected.text!r}."
    return ""
