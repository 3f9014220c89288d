"""Claude through Anthropic's official package, which waits as long as the server asks for where it is busy.

How much its answers vary is Claude's own affair: the package no longer takes a temperature.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sonneteer.chat import Answer, Options, Piece
from sonneteer.errors import ExtraError, RequestError
from sonneteer.external.asking import address_of, anthropic_answer, anthropic_turns, in_one_piece, key_of, refused
from sonneteer.recipe.sections import ExternalSettings
from sonneteer.records import Prompt

ATTEMPTS = 10
"""The waits double up to eight seconds, or are as long as the server's `retry-after` says, up to a minute."""
PATIENCE_SECONDS = 600.0


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
        self._settings = settings
        self._client = self._library.Anthropic(
            api_key=key_of(settings) or "none",
            base_url=address_of(settings),
            max_retries=ATTEMPTS,
            timeout=PATIENCE_SECONDS,
        )

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """One after the other. Raises RefusalError where a question is not taken, BusyError where waiting is no use."""
        return [self._ask(prompt, options) for prompt in prompts]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The whole answer in one piece."""
        return in_one_piece(self._ask(prompt, options))

    def count_tokens(self, prompt: Prompt) -> int:
        """As the server counts them."""
        with self._failures_told():
            counted = self._client.messages.count_tokens(model=self._settings.model, **anthropic_turns(prompt))
            return int(counted.input_tokens)

    def _ask(self, prompt: Prompt, options: Options) -> Answer:
        longest = max(1, options.max_tokens)
        with self._failures_told():
            told = self._client.messages.create(
                model=self._settings.model, max_tokens=longest, **anthropic_turns(prompt)
            )
            return anthropic_answer(told.model_dump(warnings=False))

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """What the library raises, in words that say what to do."""
        model = self._settings.model
        try:
            yield
        except self._library.APIStatusError as problem:
            said = f"{model}: status {problem.status_code}: {_message(problem)}."
            raise refused(said, problem.status_code, self._settings) from problem
        except self._library.APIConnectionError as problem:
            raise RequestError(
                f"{self._client.base_url} cannot be reached: {problem.__cause__ or problem}. Check the network, and "
                "`url` in the recipe."
            ) from problem
        except (self._library.APIError, KeyError, ValueError, AttributeError, TypeError) as problem:
            raise RequestError(
                f"{model} gave no answer that can be read: {problem!r}. Check `url` and `api` in the recipe."
            ) from problem


def _message(problem: Any) -> str:
    body = problem.body if isinstance(problem.body, dict) else {}
    error = body.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else str(problem.message)[:200]
