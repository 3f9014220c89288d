"""Conversations as token ids, with the model's own chat template, and what of them is learned.

What is learned is found by rendering prefixes: the text of the conversation up to and including an answer, minus
the text that the template writes to ask for that answer. Training, evaluation and serving all come through here,
and each answer is encoded apart from what stands before it, so a trained prompt has the very ids of a served one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from sonneteer.errors import DataError, ModelError
from sonneteer.records import Example, Message, Prompt, Rendered

Tools = Sequence[dict[str, Any]]
LONGEST_CHARACTER = 4
"""Bytes of UTF-8, and so tokens."""


class TemplateRenderer:
    """Renders with one tokenizer and its template. `window` is the longest sequence for plain text, in tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, window: int, learns_prompts: bool = False) -> None:
        self.tokenizer = tokenizer
        self.window = window
        self.learns_prompts = learns_prompts
        self._marks = set(tokenizer.all_special_ids) | {
            token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
        }

    def render(self, example: Example) -> list[Rendered]:
        """The example's token ids with their loss weights: 0 for what is given, each answer's own for what is learned.

        Usually one sequence. Several where the template writes an earlier answer differently from the last one
        (then each learned answer has its own, and shared beginnings cost nothing), and for text longer than the
        window. Raises DataError where the template refuses the conversation.
        """
        if example.is_text:
            return self._windows(example.answer.text)
        turns = [i for i, m in enumerate(example.messages) if m.role == "assistant" and m.weight]
        sequences = _joined([self._turn(example.messages, i, example.tools, example.messages[i].weight) for i in turns])
        if self.learns_prompts:
            return [Rendered(ids, [0.0, *(weight or 1.0 for weight in weights[1:])]) for ids, weights in sequences]
        return sequences

    def answer(self, example: Example) -> Rendered:
        """The same with only the last message learned: the reference answer of an evaluation."""
        if example.is_text:
            return self._windows(example.answer.text)[0]
        return self._turn(example.messages, len(example.messages) - 1, example.tools)

    def prompt_ids(self, prompt: Prompt, prefill: str = "") -> list[int]:
        """What the model reads before it answers. `prefill` is the answer's given beginning."""
        return self._prompt_ids(prompt.messages, prompt.tools) + self._encode(prefill)

    def pieces(self, example: Example) -> list[tuple[str, bool]]:
        """The example as the model reads it: each token's text, and whether it is learned.

        A character of several tokens stands at its last one.
        """
        return [
            (text, weight > 0)
            for sequence in self.render(example)
            for text, weight in zip(self._texts(sequence.ids), sequence.weights, strict=True)
        ]

    def _texts(self, ids: Sequence[int]) -> Iterator[str]:
        waiting: list[int] = []
        for id in ids:
            waiting.append(id)
            text = str(self.tokenizer.decode(waiting))
            is_part = text.endswith("\ufffd") and len(waiting) < LONGEST_CHARACTER
            yield "" if is_part else text
            waiting = waiting if is_part else []

    def learned_text(self, rendered: Rendered) -> str:
        """The words whose tokens are learned, without the marks that end a turn."""
        learned = [i for i, w in zip(rendered.ids, rendered.weights, strict=True) if w and i not in self._marks]
        return str(self.tokenizer.decode(learned, skip_special_tokens=True))

    def stop_ids(self) -> set[int]:
        """Tokens that end an answer: the tokenizer's end of text, and the mark that ends a turn in the template."""
        stops = {self.tokenizer.eos_token_id}
        if self.tokenizer.chat_template:
            probe = (Message(role="user", text="a"), Message(role="assistant", text="b"))
            turn = self._turn(probe, 1, ())
            stops.add(max(zip(turn.weights, range(len(turn.ids)), turn.ids, strict=True))[2])  # the last learned one
        return stops - {None}

    def _turn(self, messages: Sequence[Message], index: int, tools: Tools, weight: float = 1.0) -> Rendered:
        """One sequence that ends with the answer at `index`; only that answer is learned."""
        question = self._text(messages[:index], tools, is_question=True)
        whole = self._text(messages[: index + 1], tools, is_question=False)
        if not whole.startswith(question):
            raise ModelError(
                "The model's chat template asks for an answer with other words than it writes before one, so what is "
                "learned cannot be told from what is given. Use a template whose generation prompt opens its answers."
            )
        prompt_ids = self._prompt_ids(messages[:index], tools)
        answer_ids = self._answer_ids(whole[len(question) :])
        return Rendered(prompt_ids + answer_ids, [0.0] * len(prompt_ids) + [weight] * len(answer_ids))

    def _prompt_ids(self, messages: Sequence[Message], tools: Tools) -> list[int]:
        return self._encode(self._text(messages, tools, is_question=True))

    def _answer_ids(self, text: str) -> list[int]:
        """The answer's ids up to the mark that ends the turn. What the template writes after it is not learned."""
        ids = self._encode(text)
        last_mark = max((i for i, token_id in enumerate(ids) if token_id in self._marks), default=None)
        if last_mark is not None:
            return ids[: last_mark + 1]
        if self.tokenizer.eos_token_id is None:
            raise ModelError("Neither template nor tokenizer has a token that ends a turn: the model could never stop.")
        return [*ids, self.tokenizer.eos_token_id]

    def _windows(self, text: str) -> list[Rendered]:
        ids = self._encode(text)
        if self.tokenizer.eos_token_id is not None:
            ids.append(self.tokenizer.eos_token_id)
        if self.tokenizer.bos_token_id is not None:
            ids.insert(0, self.tokenizer.bos_token_id)
        # A window begins with the last token of the one before: nothing else would predict its first token.
        starts = range(0, max(len(ids) - 1, 1), self.window - 1)
        windows = [ids[start : start + self.window] for start in starts]
        return [Rendered(window, [0.0] + [1.0] * (len(window) - 1)) for window in windows]

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _text(self, messages: Sequence[Message], tools: Tools, is_question: bool) -> str:
        if not self.tokenizer.chat_template:
            raise ModelError(
                "The base model has no chat template, so it cannot be taught conversations. Choose its chat or "
                "instruct version, or put a chat_template.jinja into its folder."
            )
        try:
            return self._apply(messages, tools, is_question)
        except TemplateError as problem:
            if messages[0].role != "system":
                raise DataError(f"the model's chat template refuses this conversation: {problem}") from problem
        return self._text(_without_system(messages), tools, is_question)

    def _apply(self, messages: Sequence[Message], tools: Tools, is_question: bool) -> str:
        text = self.tokenizer.apply_chat_template(
            [_as_template_reads(message) for message in messages],
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=is_question,
            enable_thinking=False,  # templates that can think then open the answer with an empty thought
        )
        return str(text)


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """Some templates (Gemma's) know no system role: its text then opens the first message."""
    system, *rest = messages
    if not rest or rest[0].role != "user":
        raise DataError(
            "the model's chat template knows no system role, and no user's message follows to carry its text"
        )
    return [rest[0].model_copy(update={"text": f"{system.text}\n\n{rest[0].text}"}), *rest[1:]]


def _as_template_reads(message: Message) -> dict[str, Any]:
    read: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        read["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        read["tool_call_id"] = message.tool_call_id
    return read


def _joined(turns: list[Rendered]) -> list[Rendered]:
    """Sequences that continue one another become one, with the weights of all."""
    joined: list[Rendered] = []
    for turn in turns:
        if joined and turn.ids[: len(joined[-1].ids)] == joined[-1].ids:
            earlier = joined.pop().weights
            turn = Rendered(turn.ids, earlier + turn.weights[len(earlier) :])
        joined.append(turn)
    return joined
