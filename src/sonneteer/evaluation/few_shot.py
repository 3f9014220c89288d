"""The base model with a good prompt: a few examples from the training set before each question.

The control that shows when training was not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonneteer.chat import Answer, Chat, Likelihood, LogProbs, Options, Piece
from sonneteer.errors import RequestError
from sonneteer.records import Example, Message, Prompt


class FewShot:
    """A `Chat` that is shown examples first; and a `LogProbs` if the model is one."""

    def __init__(self, chat: Chat, shots: Sequence[Example]) -> None:
        self._chat = chat
        self._turns = [message for shot in shots for message in shot.messages if message.role != "system"]
        if isinstance(chat, LogProbs):
            self.likelihoods = self._likelihoods

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """Answers. A question that does not fit behind the examples is asked without them."""
        try:
            return self._chat.answer([self._shown(prompt) for prompt in prompts], options)
        except RequestError:
            if len(prompts) == 1:
                return self._chat.answer(prompts, options)
        return [self.answer([prompt], options)[0] for prompt in prompts]

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The answer as it comes."""
        return self._chat.stream(self._shown(prompt), options)

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of examples and question."""
        return self._chat.count_tokens(self._shown(prompt))

    def _likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        assert isinstance(self._chat, LogProbs)
        shown = [e.model_copy(update={"messages": (*self._shown(e.prompt).messages, e.answer)}) for e in examples]
        return self._chat.likelihoods(shown)

    def _shown(self, prompt: Prompt) -> Prompt:
        """The examples' turns stand between the instructions and the question."""
        start = next((i for i, message in enumerate(prompt.messages) if message.role != "system"), 0)
        messages: tuple[Message, ...] = (*prompt.messages[:start], *self._turns, *prompt.messages[start:])
        return prompt.model_copy(update={"messages": messages})


def shots_of(training: Sequence[Example], count: int) -> list[Example]:
    """Short examples of single questions, as different as their topics, chosen by rule and not by hand."""
    plain = [e for e in training if not e.is_text and not e.tools and e.rejected is None and e.label is None]
    single = [e for e in plain if [m.role for m in e.messages if m.role != "system"] == ["user", "assistant"]]
    order = sorted(single, key=lambda e: (sum(len(m.text) for m in e.messages), e.id))[
        : max(4 * count, len(single) // 2)
    ]
    chosen: dict[str, list[Example]] = {}
    for example in sorted(order, key=lambda e: e.id):
        chosen.setdefault(example.tags.get("topic", ""), []).append(example)
    rounds = [topic[i] for i in range(count) for topic in chosen.values() if i < len(topic)]
    return rounds[:count]
