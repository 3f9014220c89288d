"""All that an example says, wherever it says it: turns, tool calls, what tools there are, references."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sonneteer.records import Example, Message, ToolCall

Change = Callable[[str], str]
SMALLEST = 10**8
"""Numbers with fewer than nine digits are nobody's phone, card or account."""


def texts_of(example: Example) -> Iterator[str]:
    """Every text, in an order of its own."""
    for message in _messages(example):
        yield message.text
        for call in message.tool_calls:
            yield from texts_in(call.arguments)
    yield from texts_in(example.reference)
    yield from texts_in(example.tools)


def with_texts(example: Example, change: Change) -> Example:
    """The same example with every text changed, in the order of `texts_of`."""
    messages = tuple(_message(message, change) for message in example.messages)
    rejected = _message(example.rejected, change) if example.rejected else None
    reference, tools = _changed(example.reference, change), _changed(example.tools, change)
    update = {"messages": messages, "rejected": rejected, "reference": reference, "tools": tools}
    fields = {name: getattr(example, name) for name in Example.model_fields}  # and no fingerprint that was kept
    return Example.model_validate(fields | update)


def _messages(example: Example) -> Iterator[Message]:
    yield from example.messages
    if example.rejected:
        yield example.rejected


def _message(message: Message, change: Change) -> Message:
    text = change(message.text)
    calls = tuple(
        ToolCall(id=call.id, name=call.name, arguments=_changed(call.arguments, change)) for call in message.tool_calls
    )
    return message.model_copy(update={"text": text, "tool_calls": calls})


def texts_in(value: Any) -> Iterator[str]:
    """All texts in plain data, however deep, and numbers long enough for a phone or a card. Keys are not among them."""
    if isinstance(value, str):
        yield value
    elif _may_be_personal(value):
        yield str(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if _may_be_personal(value):
        changed = change(str(value))
        return int(changed) if changed.removeprefix("-").isdecimal() else changed
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_changed(item, change) for item in value)
    return value


def _may_be_personal(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= SMALLEST
