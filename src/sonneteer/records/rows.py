"""An example as a row of a JSONL file, in the form that every reader of such data knows."""

from __future__ import annotations

import json
from typing import Any

from sonneteer.records.conversation import Example, Message

Row = dict[str, Any]


def row_of(example: Example) -> Row:
    """OpenAI's messages; a pair has the two answers beside its prompt; plain text stands alone."""
    row: Row = {"tags": example.tags} if example.tags else {}
    row |= {"tools": list(example.tools)} if example.tools else {}
    row |= {"reference": example.reference} if example.reference else {}
    if example.is_text:
        return row | {"text": example.answer.text}
    turns = [_weighed(message) for message in example.messages]
    if example.rejected is not None:
        return row | {"prompt": turns[:-1], "chosen": [turns[-1]], "rejected": [_weighed(example.rejected)]}
    return row | {"messages": turns} | ({} if example.label is None else {"label": example.label})


def as_openai(message: Message) -> Row:
    """A turn in OpenAI's notation, as servers and files of conversations have it."""
    turn: Row = {"role": message.role, "content": message.text}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": json.dumps(one.arguments)}}
            for one in message.tool_calls
        ]
    return turn | ({"tool_call_id": message.tool_call_id} if message.tool_call_id else {})


def _weighed(message: Message) -> Row:
    """With what the turn counts in training, where that is not 1."""
    return as_openai(message) | ({} if message.weight == 1 else {"weight": message.weight})
