"""An answer's text while its tokens come: what can be shown already, where it stops, and the tool calls in it."""

from __future__ import annotations

import json
import re
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from sonneteer.chat import StopReason
from sonneteer.records import ToolCall

CALL_BEGINS = "<tool_call>"
TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


class Writing:
    """The text of one answer. With tools, what may be the beginning of a call is held back until it is clear."""

    def __init__(self, tokenizer: Tokenizer, stops: tuple[str, ...], has_tools: bool) -> None:
        self.ids: list[int] = []
        self.text = ""
        self.stop_sequence: str | None = None
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stops = tuple(stop for stop in stops if stop)
        self._marks = (*self._stops, CALL_BEGINS) if has_tools else self._stops
        self._has_tools = has_tools
        self._given = 0
        self._call_at: int | None = None

    def add(self, token: int) -> None:
        """Take one more token."""
        self.ids.append(token)
        new = self._stream.step(self._tokenizer, token)
        if new:
            self.extend(new)

    def extend(self, new: str) -> None:
        """Take more text."""
        start = len(self.text) - max((len(mark) for mark in self._marks), default=0)
        self.text += new
        cuts = [(at, stop) for stop in self._stops if (at := self.text.find(stop, max(start, 0))) >= 0]
        if cuts:
            cut, self.stop_sequence = min(cuts)
            self.text = self.text[:cut]
        if self._has_tools and self._call_at is None:
            at = self.text.find(CALL_BEGINS, max(start, 0))
            self._call_at = at if at >= 0 else None

    def begin_call(self) -> str:
        """Drop what was written after the mark of the first call; what stands before, the mark included."""
        assert self._call_at is not None
        self.text = self.text[: self._call_at + len(CALL_BEGINS)]
        return self.text

    def end(self) -> None:
        """No more tokens: what was held because it might be half a character is shown as it is."""
        whole = str(self._tokenizer.decode(self.ids, skip_special_tokens=True))
        if self.stop_sequence is None and len(whole) > len(self.text):
            self.extend(whole[len(self.text) :])

    @property
    def has_call(self) -> bool:
        """Whether a tool call has begun."""
        return self._call_at is not None

    @property
    def after_call_mark(self) -> str:
        """What stands after the mark that begins the first call."""
        assert self._call_at is not None
        return self.text[self._call_at + len(CALL_BEGINS) :]

    def new_text(self) -> str:
        """What can be shown and was not yet."""
        end = len(self.text) if self._call_at is None else self._call_at
        if self._call_at is None:
            end -= max((_overlap(self.text, mark) for mark in self._marks), default=0)
        if self._has_tools:
            end = len(self.text[:end].rstrip())  # what stands before a call is told without its last line break
        text, self._given = self.text[self._given : end], max(self._given, end)
        return text

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of a finished answer."""
        return tool_calls(self.text) if self._has_tools else ()

    def said(self, has_calls: bool) -> tuple[str, str]:
        """A finished answer's words, without its calls; and what of them was not shown yet."""
        text = TOOL_CALL.sub("", self.text).rstrip() if has_calls else self.text
        return text, text[self._given :]

    def reason(self, is_ended: bool, has_calls: bool) -> StopReason:
        """Why the answer ended."""
        if self.stop_sequence is not None:
            return "stop_sequence"
        if not is_ended:
            return "length"
        return "tool_use" if has_calls else "end"


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of the text that may become the mark."""
    return next((n for n in range(min(len(mark), len(text)), 0, -1) if text.endswith(mark[:n])), 0)


def tool_calls(text: str) -> tuple[ToolCall, ...]:
    """Calls in the notation of Hermes, Qwen and SmolLM: <tool_call>{"name": ..., "arguments": {...}}</tool_call>."""
    calls = []
    for number, found in enumerate(TOOL_CALL.finditer(text)):
        try:
            call: dict[str, Any] = json.loads(found[1])
            calls.append(ToolCall(id=f"call_{number}", name=call["name"], arguments=call.get("arguments") or {}))
        except (ValueError, KeyError):
            continue  # not a call after all: it stays in the text
    return tuple(calls)
