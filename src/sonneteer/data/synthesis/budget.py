"""What a teacher may cost: each question is reserved before it is asked, so that the budget is never exceeded."""

from __future__ import annotations

from threading import Lock

from sonneteer.recipe.sections import SynthesisSettings
from sonneteer.records import Prompt

CHARACTERS_A_TOKEN = 2
"""Fewer than in any usual language, so that what is reserved is rather too much; Chinese takes about one and a half."""
MILLION = 1_000_000


def tokens_at_most(prompt: Prompt) -> int:
    """About as many as a question can have, before anybody counts them."""
    return sum(len(message.text) for message in prompt.messages) // CHARACTERS_A_TOKEN + 50


class Budget:
    """Tokens and money, spent and reserved."""

    def __init__(self, settings: SynthesisSettings) -> None:
        self._settings = settings
        self._reserved: dict[int, tuple[int, int]] = {}
        self._lock = Lock()
        self._tickets = 0
        self.prompt_tokens = 0
        self.answer_tokens = 0

    @property
    def tokens(self) -> int:
        """All that were spent."""
        return self.prompt_tokens + self.answer_tokens

    @property
    def money(self) -> float | None:
        """What they cost, where the prices are known."""
        return self._cost(self.prompt_tokens, self.answer_tokens)

    def reserve(self, prompt: Prompt) -> int | None:
        """A ticket for one question, or nothing where it might cost too much."""
        asked, answered = tokens_at_most(prompt), self._settings.max_answer_tokens
        with self._lock:
            waiting = [sum(one) for one in zip(*self._reserved.values(), strict=True)] or [0, 0]
            if self._exceeds(self.prompt_tokens + waiting[0] + asked, self.answer_tokens + waiting[1] + answered):
                return None
            self._tickets += 1
            self._reserved[self._tickets] = (asked, answered)
            return self._tickets

    def settle(self, ticket: int | None, prompt_tokens: int, answer_tokens: int) -> None:
        """What the question cost in the end; no ticket is for what was asked in an earlier attempt."""
        with self._lock:
            self._reserved.pop(ticket or 0, None)
            self.prompt_tokens += prompt_tokens
            self.answer_tokens += answer_tokens

    def _exceeds(self, prompt_tokens: int, answer_tokens: int) -> bool:
        settings = self._settings
        cost = self._cost(prompt_tokens, answer_tokens)
        is_too_many = settings.most_tokens is not None and prompt_tokens + answer_tokens > settings.most_tokens
        return is_too_many or (settings.most_money is not None and cost is not None and cost > settings.most_money)

    def _cost(self, prompt_tokens: int, answer_tokens: int) -> float | None:
        prices = self._settings.teacher.input_price, self._settings.teacher.output_price
        if prices[0] is None or prices[1] is None:
            return None
        return (prompt_tokens * prices[0] + answer_tokens * prices[1]) / MILLION
