"""Claude through Anthropic's official package, which waits as long as the server asks for where it is busy.

How much its answers vary is Claude's own affair: the package no longer takes a temperature.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from sonneteer.chat import Answer, Options, Piece, StopReason
from sonneteer.errors import BusyError, ExtraError, RecipeError, RefusalError, RequestError
from sonneteer.recipe.sections import ExternalSettings
from sonneteer.records import Prompt

ATTEMPTS = 10
"""The waits double up to eight seconds, or are as long as the server's `retry-after` says, up to a minute."""
PATIENCE_SECONDS = 600.0
STOPS: dict[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
}
UNSUITED = (400, 413, 422)
BUSY = (429, 529)


class ClaudeChat:
    """A `Chat` through `anthropic.Anthropic`. Raises ExtraError where that is not installed."""

    def __init__(self, settings: ExternalSettings) -> None:
        try:
            self._library: Any = importlib.import_module("anthropic")
        except ImportError as problem:
            raise ExtraError(
                f"'{settings.model}' is asked through the library anthropic, which does not load here ({problem}). "
                "Install it with pip install 'sonneteer[teacher]'."
            ) from problem
        key = os.environ.get(settings.key_variable, "") if settings.key_variable else "none"
        if not key:
            raise RecipeError(
                f"'{settings.model}' needs its key in the environment variable {settings.key_variable}, which is not "
                "set."
            )
        self._model = settings.model
        self._client = self._library.Anthropic(
            api_key=key,
            base_url=settings.url.rstrip("/").removesuffix("/v1"),
            max_retries=ATTEMPTS,
            timeout=PATIENCE_SECONDS,
        )

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """One after the other. Raises RefusalError where a question is not taken, BusyError where waiting is no use."""
        return [self._ask(prompt, options) for prompt in prompts]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The whole answer in one piece."""
        answer = self._ask(prompt, options)
        yield Piece(answer.text)
        yield Piece("", answer)

    def count_tokens(self, prompt: Prompt) -> int:
        """As the server counts them."""
        system, messages = _turns(prompt)
        counted = self._client.messages.count_tokens(model=self._model, messages=messages, **system)
        return int(counted.input_tokens)

    def _ask(self, prompt: Prompt, options: Options) -> Answer:
        system, messages = _turns(prompt)
        try:
            told = self._client.messages.create(
                model=self._model,
                messages=messages,
                max_tokens=max(1, options.max_tokens),
                **system,
            )
            return self._read(told)
        except self._library.APIStatusError as problem:
            said = f"{self._model}: status {problem.status_code}: {_message(problem)}"
            if problem.status_code in BUSY:
                raise BusyError(f"{said}. Wait, and give the same command again: it goes on.") from problem
            kind = RefusalError if problem.status_code in UNSUITED else RequestError
            raise kind(said) from problem
        except self._library.APIConnectionError as problem:
            raise RequestError(
                f"{self._client.base_url} cannot be reached: {problem.__cause__ or problem}. Check the network, and "
                "`url` in the recipe."
            ) from problem
        except (self._library.APIError, ValueError, AttributeError, TypeError) as problem:
            raise RequestError(f"{self._model} gave no answer that can be read: {problem}") from problem

    def _read(self, told: Any) -> Answer:
        return Answer(
            text="".join(block.text for block in told.content if block.type == "text"),
            stop_reason=STOPS.get(told.stop_reason or "", "end"),
            prompt_tokens=told.usage.input_tokens,
            answer_tokens=told.usage.output_tokens,
        )


def _turns(prompt: Prompt) -> tuple[dict[str, str], list[dict[str, str]]]:
    system = "\n\n".join(message.text for message in prompt.messages if message.role == "system")
    turns = [
        {"role": "assistant" if message.role == "assistant" else "user", "content": message.text}
        for message in prompt.messages
        if message.role != "system"
    ]
    return ({"system": system} if system else {}), turns


def _message(problem: Any) -> str:
    body = problem.body if isinstance(problem.body, dict) else {}
    error = body.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else str(problem.message)[:200]
