"""Models behind an API, named in the recipe: asked like any other, so that their price can be weighed against ours.

Only the servers that a recipe names are ever asked; the key is read from the environment.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from typing import Any

from sonneteer.chat import Answer, Options, Piece
from sonneteer.errors import RequestError
from sonneteer.external.asking import (
    BUSY,
    STOPS,
    address_of,
    anthropic_answer,
    anthropic_turns,
    in_one_piece,
    key_of,
    refused,
)
from sonneteer.recipe.sections import ExternalSettings
from sonneteer.records import Prompt, ToolCall
from sonneteer.records.rows import as_openai

ATTEMPTS = 4
PATIENCE_SECONDS = 120
LONGEST_WAIT_SECONDS = 60.0
PASSING = (408, 500, 502, 504, *BUSY)


class ServerChat:
    """A `Chat` through the API of OpenAI or Anthropic. It gives no likelihoods."""

    at_once = 4

    def __init__(self, settings: ExternalSettings) -> None:
        self._settings = settings
        self._key = key_of(settings)

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """One after the other; what the model declines is an answer with the stop reason `refusal`.

        Raises RefusalError for a question that the server does not take, BusyError where waiting longer may help, and
        RequestError where the address, the key or the model is wrong.
        """
        return [self._ask(prompt, options) for prompt in prompts]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The whole answer in one piece."""
        return in_one_piece(self._ask(prompt, options))

    def count_tokens(self, prompt: Prompt) -> int:
        """Nobody but the server knows."""
        raise RequestError(f"'{self._settings.name}' cannot be asked to count tokens.")

    def _ask(self, prompt: Prompt, options: Options) -> Answer:
        is_anthropic = self._settings.api == "anthropic"
        if is_anthropic:
            told = self._post("/v1/messages", _anthropic_request(self._settings, prompt, options))
        else:
            told = self._post("/v1/chat/completions", _openai_request(self._settings, prompt, options))
        try:
            return anthropic_answer(told) if is_anthropic else _openai_answer(told)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as problem:
            raise RequestError(
                f"'{self._settings.name}' sent what is no answer of the API {self._settings.api}: {problem!r}. "
                "Check `api` in the recipe."
            ) from problem

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The server's JSON. Waits and asks again where it is busy."""
        url = address_of(self._settings) + path
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        headers |= {"x-api-key": self._key} if self._settings.api == "anthropic" else {}
        headers |= {"authorization": f"Bearer {self._key}"} if self._key and self._settings.api == "openai" else {}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        for attempt in range(ATTEMPTS):
            wait = 2.0**attempt / 2
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
                    return self._read(reply.read(), url)
            except urllib.error.HTTPError as problem:
                with problem:
                    said = _says(problem.read(10_000))
                if attempt + 1 == ATTEMPTS or problem.code not in PASSING:
                    told = f"{url} refused with status {problem.code}: {said}."
                    raise refused(told, problem.code, self._settings) from problem
                wait = _wished_wait(problem.headers.get("retry-after"), wait)
            except (OSError, HTTPException) as problem:
                if attempt + 1 == ATTEMPTS:
                    why = getattr(problem, "reason", problem)
                    raise RequestError(
                        f"{url} cannot be reached: {why}. Check that the server runs, and `url` in the recipe."
                    ) from problem
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, body: bytes, url: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(body)
        except ValueError as problem:
            raise RequestError(
                f"{url} sent no JSON, but {_says(body)}. Check that `url` in the recipe is the address of the API "
                f"{self._settings.api}, and no page for people or a proxy stands before it."
            ) from problem
        return told


def _says(body: bytes) -> str:
    """What a body that is no answer says, in a line."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return "an HTML page"
    try:
        error = json.loads(text)["error"]
        text = str(error["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(text.split()).rstrip(".")[:300] or "nothing"


def _wished_wait(retry_after: str | None, otherwise: float) -> float:
    """As long as the server asks for; a date instead of seconds is not understood, and is not used by these APIs."""
    try:
        return min(LONGEST_WAIT_SECONDS, max(0.0, float(retry_after or otherwise)))
    except ValueError:
        return otherwise


def _openai_request(settings: ExternalSettings, prompt: Prompt, options: Options) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": settings.model,
        "messages": [as_openai(message) for message in prompt.messages],
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "seed": options.seed,
    }
    return request | ({"tools": list(prompt.tools)} if prompt.tools else {})


def _openai_answer(told: dict[str, Any]) -> Answer:
    choice, usage = told["choices"][0], told.get("usage") or {}
    refusal = choice["message"].get("refusal")
    return Answer(
        text=choice["message"].get("content") or refusal or "",
        tool_calls=tuple(_call(one["id"], one["function"]) for one in choice["message"].get("tool_calls") or ()),
        stop_reason="refusal" if refusal else STOPS.get(choice.get("finish_reason") or "", "end"),
        prompt_tokens=usage.get("prompt_tokens", 0),
        answer_tokens=usage.get("completion_tokens", 0),
    )


def _call(id: str, function: dict[str, Any]) -> ToolCall:
    """A call whose arguments are no JSON object has none: that is the model's fault, and no reason to stop."""
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return ToolCall(id=id, name=function["name"], arguments=arguments if isinstance(arguments, dict) else {})


def _anthropic_request(settings: ExternalSettings, prompt: Prompt, options: Options) -> dict[str, Any]:
    limits = {"max_tokens": max(options.max_tokens, 1), "temperature": options.temperature}
    return {"model": settings.model, **limits, **anthropic_turns(prompt)}
