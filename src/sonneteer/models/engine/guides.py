"""Answers that cannot but have their form: a JSON schema or tool schemas, enforced token by token by llguidance."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from torch import Tensor

from sonneteer.chat import Form
from sonneteer.errors import RequestError
from sonneteer.models.engine.writing import CALL_BEGINS
from sonneteer.models.load import LanguageModel

COMPACT: Any = {"whitespace_pattern": " ?", "coerce_one_of": True}
"""Between JSON's tokens stands at most one blank: a model that is unsure would else write blanks for ever."""


class Guide:
    """The form of one answer: which tokens may come next."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self, logits_V: Tensor) -> None:
        """Make all tokens impossible that break the form."""
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        forbidden = (allowed[: len(logits_V)] == 0).to(logits_V.device)
        logits_V[: len(forbidden)].masked_fill_(forbidden, -torch.inf)
        logits_V[len(forbidden) :] = -torch.inf

    def take(self, token: int) -> None:
        """The token that was chosen."""
        self._matcher.consume_token(token)
        if self._matcher.is_error():
            raise RuntimeError(f"the answer's form cannot be followed: {self._matcher.get_error()}")


class Guides:
    """Makes the guides of one model's answers."""

    def __init__(self, model: LanguageModel, stop_ids: set[int]) -> None:
        self._model = model
        self._stop_ids = stop_ids

    @cached_property
    def tokenizer(self) -> LLTokenizer:
        """The model's tokens as llguidance reads them."""
        size = int(self._model.network.config.get_text_config().vocab_size)
        size = max(size, len(self._model.tokenizer))
        return from_tokenizer(self._model.tokenizer, n_vocab=size, eos_token=sorted(self._stop_ids))

    def of(self, form: Form, tools: tuple[dict[str, Any], ...], prefill: str) -> Guide | None:
        """The guide from an answer's beginning; None where it is free. Raises RequestError for an impossible form."""
        if form.json_schema is not None:
            grammar = LLMatcher.grammar_from_json_schema(form.json_schema, overrides=COMPACT)
            return self._guide(grammar, prefill, "the JSON schema")
        if form.must_call:
            return self._guide(_calls_grammar(tools, form, begins=CALL_BEGINS), prefill, "the tools' schemas")
        return None

    def of_call(self, form: Form, tools: tuple[dict[str, Any], ...], begun: str) -> Guide:
        """The guide after the mark that begins a call that the model made by itself; some of it may be written."""
        return self._guide(_calls_grammar(tools, form, begins=""), begun, "the tools' schemas")

    def check(self, form: Form, tools: tuple[dict[str, Any], ...]) -> None:
        """Raises RequestError where a tool's schema cannot be enforced."""
        if tools and not form.must_call:
            self.of_call(form, tools, "")

    def _guide(self, grammar: str, begun: str, what: str) -> Guide:
        matcher = LLMatcher(self.tokenizer, grammar, log_level=0)
        if begun and not matcher.is_error():
            matcher.consume_tokens(self.tokenizer.tokenize_str(begun))
        if matcher.is_error():
            raise RequestError(f"{what} cannot be enforced: {matcher.get_error().strip().splitlines()[0][:300]}")
        return Guide(matcher)


def _calls_grammar(tools: tuple[dict[str, Any], ...], form: Form, begins: str) -> str:
    """Tool calls in the notation of Hermes, each with the arguments that its schema allows."""
    functions = [tool["function"] for tool in tools]
    chosen = [f for f in functions if form.only_tool in (None, f["name"])]
    if not chosen:
        raise RequestError(f"tool_choice names '{form.only_tool}', which is none of the tools")
    more = "" if form.has_one_call else f" (WS {_quoted(CALL_BEGINS)} body)*"
    start = f"{_quoted(begins)} body" if begins else "body"
    names = " | ".join(f"call_{number}" for number in range(len(chosen)))
    lines = [f"start: {start}{more}", r"WS: /[ \n]{0,2}/", f'body: WS ({names}) WS "</tool_call>"']
    for number, function in enumerate(chosen):
        schema = {"type": "object", **(function.get("parameters") or {}), "x-guidance": COMPACT}
        opening = '{"name": ' + json.dumps(function["name"]) + ', "arguments": '
        lines += [
            f'call_{number}: {_quoted(opening)} arguments_{number} "}}"',
            f"arguments_{number}: %json {json.dumps(schema)}",
        ]
    return LLMatcher.grammar_from_lark("\n".join(lines))


def _quoted(text: str) -> str:
    return json.dumps(text)
