"""Fakes for tests, ours and our users': a model that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonneteer.chat import Answer, Likelihood, Options, Piece
from sonneteer.records import Example, Prompt


class ScriptedChat:
    """Answers from a list, round and round. With `likelihoods` it is a LogProbs, too."""

    def __init__(self, answers: Sequence[str], likelihoods: Sequence[Likelihood] | None = None) -> None:
        self._answers = list(answers)
        self._next = 0
        self.asked: list[Prompt] = []
        if likelihoods is not None:
            self.likelihoods = lambda examples: _one_each(likelihoods, examples)

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """The next lines of the script, cut to so many words."""
        return [self._say(prompt, options) for prompt in prompts]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The next line of the script, word by word."""
        answer = self._say(prompt, options)
        for number, word in enumerate(answer.text.split(" ")):
            yield Piece(word if number == 0 else f" {word}")
        yield Piece("", answer)

    def count_tokens(self, prompt: Prompt) -> int:
        """Words of the prompt."""
        return sum(len(message.text.split()) for message in prompt.messages)

    def _say(self, prompt: Prompt, options: Options) -> Answer:
        self.asked.append(prompt)
        text = self._answers[self._next % len(self._answers)]
        self._next += 1
        words = text.split(" ")
        is_cut = len(words) > options.max_tokens
        return Answer(
            text=" ".join(words[: options.max_tokens]),
            stop_reason="length" if is_cut else "end",
            prompt_tokens=self.count_tokens(prompt),
            answer_tokens=min(len(words), options.max_tokens),
        )


def _one_each(likelihoods: Sequence[Likelihood], examples: Sequence[Example]) -> list[Likelihood]:
    return [likelihoods[i % len(likelihoods)] for i in range(len(examples))]
