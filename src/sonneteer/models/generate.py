"""A language model that answers: `LocalChat` is a `Chat`, and a `LogProbs` for what needs likelihoods."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from sonneteer.chat import Answer, Likelihood, Options, Piece, StopReason
from sonneteer.errors import RequestError
from sonneteer.models.load import LanguageModel
from sonneteer.models.logprobs import forests, predict
from sonneteer.records import Example, Prompt, ToolCall

TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
SCORED_TOKENS = 2048  # unique tokens that are scored at once


class LocalChat:
    """Talks with a model on this machine. Not thread-safe: one caller at a time."""

    def __init__(self, model: LanguageModel, batch_size: int = 32) -> None:
        self._model = model
        self._batch_size = batch_size
        self._stop_ids = model.renderer.stop_ids()

    @property
    def model(self) -> LanguageModel:
        """The network with its tokenizer."""
        return self._model

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        return self._model.context

    def answer(self, prompts: Sequence[Prompt], options: Options) -> list[Answer]:
        """Answers in batches, prompts of similar length together. Raises RequestError for a prompt that is too long."""
        ids = [self._prompt_ids(prompt, options) for prompt in prompts]
        answers: dict[int, Answer] = {}
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            drafts = [Draft(self._model, options, len(ids[i])) for i in batch]
            for tokens in self._decode([ids[i] for i in batch], options, drafts):
                for draft, token in zip(drafts, tokens, strict=True):
                    draft.add(token)
            answers |= {i: draft.finished(prompts[i]) for i, draft in zip(batch, drafts, strict=True)}
        return [answers[i] for i in range(len(ids))]

    def continuations(self, prompts: Sequence[list[int]], options: Options) -> list[list[int]]:
        """One answer to each prompt as token ids, its end mark included: the very tokens that were drawn.

        Each batch takes a seed of its own, so that a prompt that comes again gets another answer.
        """
        written: list[list[int]] = []
        for start in range(0, len(prompts), self._batch_size):
            batch = list(prompts[start : start + self._batch_size])
            drafts = [Draft(self._model, options, len(ids)) for ids in batch]
            seeded = options.model_copy(update={"seed": options.seed + start})
            rows: list[list[int]] = [[] for _ in batch]
            for tokens in self._decode(batch, seeded, drafts):
                for row, token in zip(rows, tokens, strict=True):
                    if not row or row[-1] not in self._stop_ids:
                        row.append(token)
            written += rows
        return written

    def stream(self, prompt: Prompt, options: Options) -> Iterator[Piece]:
        """The answer as it comes; half a character or half a stop sequence is held back until it is whole."""
        ids = self._prompt_ids(prompt, options)
        draft = Draft(self._model, options, len(ids))
        with closing(self._decode([ids], options, [draft])) as steps:
            for (token,) in steps:
                draft.add(token)
                if text := draft.new_text():
                    yield Piece(text)
        if text := draft.new_text(is_last=True):
            yield Piece(text)
        yield Piece("", draft.finished(prompt))

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the rendered prompt."""
        return len(self._model.renderer.prompt_ids(prompt))

    def likelihoods(self, examples: Sequence[Example]) -> list[Likelihood]:
        """How likely the model finds each example's answer, every shared prefix computed once."""
        renderer = self._model.renderer
        rendered = [renderer.answer(example) for example in examples]
        scored: dict[int, Likelihood] = {}
        self._model.network.eval()
        for group, forest in forests(rendered, SCORED_TOKENS, self._model.device):
            told = predict(self._model.network, forest)
            for place, i in enumerate(group):
                own = forest.terms.sequences_M == place
                scored[i] = Likelihood(
                    log_prob=float(told.log_probs_M[own].double().sum()),
                    tokens=int(own.sum()),
                    right_tokens=int(told.is_first_M[own].sum()),
                    characters=len(renderer.learned_text(rendered[i])),
                )
        return [scored[i] for i in range(len(examples))]

    def _prompt_ids(self, prompt: Prompt, options: Options) -> list[int]:
        ids = self._model.renderer.prompt_ids(prompt, options.prefill)
        if len(ids) >= self._model.context:
            raise RequestError(f"prompt is too long: {len(ids)} tokens > {self._model.context - 1} maximum")
        return ids

    @torch.no_grad()
    def _decode(self, prompts: list[list[int]], options: Options, drafts: list[Draft]) -> Generator[list[int]]:
        """Next tokens of all prompts, step by step, until every draft is done. Prompts are padded on the left."""
        network, device = self._model.network.eval(), self._model.device
        generator = torch.Generator(device).manual_seed(options.seed)
        longest = max(len(ids) for ids in prompts)
        limit = min(options.max_tokens, self._model.context - longest)
        inputs = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        cache = DynamicCache(config=network.config)
        for _ in range(limit):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
            logits = network(
                input_ids=inputs,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = _choose(logits.float(), options, generator)
            for draft, token in zip(drafts, chosen.tolist(), strict=True):
                draft.is_done |= token in self._stop_ids
            yield chosen.tolist()
            if all(draft.is_done for draft in drafts):
                return
            inputs = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], 1)


def _choose(logits_BV: torch.Tensor, options: Options, generator: torch.Generator) -> torch.Tensor:
    """The likeliest token, or one drawn after temperature, top-k and top-p (nucleus, arXiv 1904.09751)."""
    if options.temperature == 0:
        return logits_BV.argmax(-1)
    logits_BV = logits_BV / options.temperature
    ranked, order = logits_BV.sort(-1, descending=True)
    shares = ranked.softmax(-1)
    dropped = shares.cumsum(-1) - shares >= options.top_p
    if options.top_k is not None:
        dropped[:, options.top_k :] = True
    drawn = torch.multinomial(shares.masked_fill(dropped, 0.0), 1, generator=generator)
    return order.gather(1, drawn)[:, 0]


@dataclass
class Draft:
    """An answer that is being written."""

    model: LanguageModel
    options: Options
    prompt_tokens: int
    is_done: bool = False
    ids: list[int] = field(default_factory=list)
    text: str = ""
    stop_sequence: str | None = None
    _given: int = 0
    _is_ended: bool = False

    def add(self, token: int) -> None:
        """Take one more token, unless the answer is over."""
        if self._is_ended or self.stop_sequence is not None:
            return
        if self.is_done:  # this token is the mark that ends the answer
            self._is_ended = True
            return
        self.ids.append(token)
        self.text = str(self.model.tokenizer.decode(self.ids, skip_special_tokens=True))
        cuts = [(self.text.find(stop), stop) for stop in self.options.stop if stop and stop in self.text]
        if cuts:
            cut, self.stop_sequence = min(cuts)
            self.text, self.is_done = self.text[:cut], True

    def new_text(self, is_last: bool = False) -> str:
        """What can be shown and was not yet."""
        end = len(self.text)
        if not is_last:
            held = max((_overlap(self.text, stop) for stop in self.options.stop), default=0)
            end -= max(held, len(self.text) - len(self.text.rstrip("�")))
        text, self._given = self.text[self._given : end], max(self._given, end)
        return text

    def finished(self, prompt: Prompt) -> Answer:
        """The whole answer."""
        calls = _tool_calls(self.text) if prompt.tools else ()
        reason: StopReason = "length"
        if self.stop_sequence is not None:
            reason = "stop_sequence"
        elif self._is_ended:
            reason = "tool_use" if calls else "end"
        return Answer(
            text=TOOL_CALL.sub("", self.text).strip() if calls else self.text,
            stop_reason=reason,
            stop_sequence=self.stop_sequence,
            tool_calls=calls,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=len(self.ids) + self._is_ended,
        )


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that may become the stop sequence."""
    return next((n for n in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _tool_calls(text: str) -> tuple[ToolCall, ...]:
    """Calls in the notation of Hermes, Qwen and SmolLM: <tool_call>{"name": ..., "arguments": {...}}</tool_call>."""
    calls = []
    for number, found in enumerate(TOOL_CALL.finditer(text)):
        try:
            call: dict[str, Any] = json.loads(found[1])
            calls.append(ToolCall(id=f"call_{number}", name=call["name"], arguments=call.get("arguments") or {}))
        except (ValueError, KeyError):
            continue  # not a call after all: it stays in the text
    return tuple(calls)
