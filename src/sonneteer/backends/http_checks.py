"""The model over HTTP: our own server, started for a moment, answers the probes as the model in memory does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from sonneteer.chat import Answer, Options
from sonneteer.models.generate import LocalChat
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Check, Example
from sonneteer.records.rows import as_openai
from sonneteer.serving import Keys, ServedModel, create_app
from sonneteer.serving.listen import server

GREEDY_TOKENS = 16


def check_http(name: str, chat: LocalChat, probes: Sequence[Example], settings: ServingSettings) -> Check:
    """Ask the server what the model is asked in memory: as many tokens are read, and the same words come back."""
    asked = [probe for probe in probes if not probe.is_text]
    expected = chat.answer([probe.prompt for probe in asked], Options(max_tokens=GREEDY_TOKENS))
    says, is_passed = f"{len(asked)} probe conversations.", True
    with _listening(name, chat, settings) as address:
        for probe, answer in zip(asked, expected, strict=True):
            if difference := _difference(answer, _ask(address, name, probe)):
                says, is_passed = f"Example {probe.id}: {difference}", False
                break
    return Check(name="HTTP: the server answers as the model in memory does", is_passed=is_passed, says=says)


@contextmanager
def _listening(name: str, chat: LocalChat, settings: ServingSettings) -> Iterator[str]:
    """Our server on a free port of this machine alone."""
    here = settings.model_copy(update={"host": "127.0.0.1"})
    app = create_app([ServedModel(name, chat, datetime.now(UTC), chat.context)], here, Keys(()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = server(app, here)
        thread = threading.Thread(target=host.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            host.should_exit = True
            thread.join()


def _ask(address: str, name: str, probe: Example) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": name,
        "messages": [as_openai(message) for message in probe.prompt.messages],
        "max_tokens": GREEDY_TOKENS,
        "temperature": 0,
    }
    if probe.tools:
        asked["tools"] = list(probe.tools)
    content = json.dumps(asked).encode()
    request = Request(f"{address}/v1/chat/completions", content, {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request) as answered:  # never through a proxy: it is this machine
        told: dict[str, Any] = json.load(answered)
    return told


def _difference(expected: Answer, told: dict[str, Any]) -> str:
    """What is not as in memory; empty where all is."""
    read, said = told["usage"]["prompt_tokens"], told["choices"][0]["message"]["content"] or ""
    if read != expected.prompt_tokens:
        return f"the server reads {read} tokens, and the model in memory {expected.prompt_tokens}."
    if said != expected.text:
        return f"the server answers {said!r}, and the model in memory {expected.text!r}."
    return ""
