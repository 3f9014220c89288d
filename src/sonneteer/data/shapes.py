"""The shapes in which people keep training data: how each is recognised, and how its row becomes an example."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sonneteer.data.messages import (
    Row,
    anthropic_messages,
    as_list,
    as_mapping,
    as_text,
    bedrock_messages,
    openai_message,
    sharegpt_message,
    text_of,
)
from sonneteer.errors import DataError
from sonneteer.records import Example, Message

HH_TURN = re.compile(r"\n\n(Human|Assistant): ?")
BLOCKS = {"tool_use", "tool_result", "thinking"}


class Shape(NamedTuple):
    """One way to write training data."""

    fits: Callable[[Row], bool]
    read: Callable[[Row], Example]
    says: str
    """What such a row looks like, for people."""


def _chat(row: Row) -> Example:
    messages = [openai_message(raw) for raw in as_list(row.get("messages"), "'messages'")]
    reference = {"reference_answer": row["reference_answer"]} if "reference_answer" in row else {}
    if reference and messages and messages[-1].role == "user":
        messages.append(Message(role="assistant", text=str(row["reference_answer"])))
    return _example(messages, tools=_tools(row.get("tools")), reference=reference)


def _anthropic(row: Row) -> Example:
    system = text_of(row.get("system"))
    messages = [Message(role="system", text=system)] if system else []
    for raw in as_list(row.get("messages"), "'messages'"):
        messages += anthropic_messages(raw)
    tools = [_openai_tool(tool) for tool in row.get("tools") or ()]
    return _example(messages, tools=tools)


def _bedrock(row: Row) -> Example:
    system = "\n".join(text_of([block]) for block in row.get("system") or ())
    messages = [Message(role="system", text=system)] if system else []
    for raw in as_list(row.get("messages"), "'messages'"):
        messages += bedrock_messages(raw)
    return _example(messages)


def _prompt_completion(row: Row) -> Example:
    return _example([*_turns(row["prompt"], "user"), *_turns(row.get("completion"), "assistant")])


def _unpaired(row: Row) -> Example:
    label = row.get("label", row.get("kto_tag"))
    if label not in (True, False, 0, 1):
        raise DataError(f"the label must be true or false, not {type(label).__name__}")
    inner = _alpaca(row) if "instruction" in row else _prompt_completion(row)
    return inner.model_copy(update={"label": bool(label)})


def _alpaca(row: Row) -> Example:
    answer = as_text(row, "output" if "output" in row else "response")
    return _example([*_alpaca_prompt(row), Message(role="assistant", text=answer)])


def _alpaca_prompt(row: Row) -> list[Message]:
    messages = [Message(role="system", text=row["system"])] if row.get("system") else []
    for pair in row.get("history") or ():
        question, answer = as_list(pair, "a pair of 'history'")
        messages += [Message(role="user", text=str(question)), Message(role="assistant", text=str(answer))]
    instruction, more = as_text(row, "instruction"), row.get("input") or ""
    return [*messages, Message(role="user", text=f"{instruction}\n{more}" if str(more).strip() else instruction)]


def _question_answer(row: Row) -> Example:
    question = Message(role="user", text=as_text(row, "question"))
    return _example([question, Message(role="assistant", text=as_text(row, "answer"))])


def _sharegpt(row: Row) -> Example:
    return _example(_sharegpt_turns(row), tools=_tools(row.get("tools")))


def _sharegpt_turns(row: Row) -> list[Message]:
    key = next(key for key in ("conversations", "conversation", "items", "dialog") if key in row)
    turns = [sharegpt_message(raw) for raw in as_list(row[key], f"'{key}'")]
    while turns and turns[0].role == "assistant":  # a greeting without a question teaches nothing
        turns.pop(0)
    return [Message(role="system", text=row["system"]), *turns] if row.get("system") else turns


def _preference(row: Row) -> Example:
    """TRL's explicit and implicit, Alpaca's, ShareGPT's, Orca's, and Anthropic's HH pairs."""
    chosen, rejected = (_preferred(row, key) for key in ("chosen", "rejected"))
    if "prompt" in row:
        prompt = _turns(row["prompt"], "user")
    elif "instruction" in row:
        prompt = _alpaca_prompt(row)
    elif "question" in row:
        system = [Message(role="system", text=row["system"])] if row.get("system") else []
        prompt = [*system, Message(role="user", text=as_text(row, "question"))]
    elif "conversations" in row:
        prompt = _sharegpt_turns(row)
    else:
        prompt = chosen[:-1]
        if prompt != rejected[:-1]:
            raise DataError("'chosen' and 'rejected' must share everything but the last answer")
    return _pair(prompt, chosen[-1], rejected[-1])


def _preferred(row: Row, key: str) -> list[Message]:
    value = row.get(key)
    if isinstance(value, str) and HH_TURN.match(value):
        names = {"Human": "user", "Assistant": "assistant"}
        parts = HH_TURN.split(value)[1:]
        return [openai_message({"role": names[n], "content": t.strip()}) for n, t in zip(parts[::2], parts[1::2], strict=True)]
    if isinstance(value, Mapping) and "value" in value:
        return [sharegpt_message(value)]
    turns = _turns(value, "assistant")
    if not turns:
        raise DataError(f"'{key}' is empty")
    return turns


def _openai_preference(row: Row) -> Example:
    asked = as_mapping(row["input"], "'input'")
    prompt = [openai_message(raw) for raw in as_list(asked.get("messages"), "'input.messages'")]
    answers = [as_list(row.get(key), f"'{key}'") for key in ("preferred_output", "non_preferred_output")]
    if any(len(answer) != 1 for answer in answers):
        raise DataError("'preferred_output' and 'non_preferred_output' must each hold exactly one answer")
    chosen, rejected = (openai_message(answer[0]) for answer in answers)
    return _pair(prompt, chosen, rejected, _tools(asked.get("tools")))


def _pair(prompt: list[Message], chosen: Message, rejected: Message, tools: Sequence[dict[str, Any]] = ()) -> Example:
    if chosen == rejected:
        raise DataError("the chosen and the rejected answer are the same")
    if rejected.role != "assistant":
        raise DataError("the rejected answer must be the assistant's")
    return _example([*prompt, chosen], tools=tools).model_copy(update={"rejected": rejected})


def _text(row: Row) -> Example:
    text = row.get("text", row.get("input"))
    return Example(messages=(Message(role="assistant", text=as_text({"text": text}, "text")),), is_text=True)


def _only_prompt(row: Row) -> Example:
    prompt = _turns(row["prompt"], "user")
    if row.get("reference_answer") is None:
        raise DataError("the row has a prompt but no answer to learn; add 'completion' or 'reference_answer'")
    answer = Message(role="assistant", text=str(row["reference_answer"]))
    return _example([*prompt, answer], reference={"reference_answer": row["reference_answer"]})


SHAPES: dict[str, Shape] = {
    "bedrock": Shape(lambda r: "schemaVersion" in r, _bedrock, '{"schemaVersion", "system", "messages"}'),
    "openai-preference": Shape(
        lambda r: "preferred_output" in r, _openai_preference, '{"input", "preferred_output", "non_preferred_output"}'
    ),
    "preference": Shape(lambda r: "chosen" in r and "rejected" in r, _preference, '{"prompt", "chosen", "rejected"}'),
    "unpaired": Shape(
        lambda r: r.get("label", r.get("kto_tag")) in (True, False), _unpaired, '{"prompt", "completion", "label"}'
    ),
    "sharegpt": Shape(
        lambda r: any(isinstance(r.get(k), list) for k in ("conversations", "conversation", "items", "dialog")),
        _sharegpt,
        '{"conversations": [{"from", "value"}]}',
    ),
    "anthropic": Shape(
        lambda r: "messages" in r and ("system" in r or _has_blocks(r)), _anthropic, '{"system", "messages"} with blocks'
    ),
    "chat": Shape(lambda r: "messages" in r, _chat, '{"messages": [{"role", "content"}]}'),
    "prompt-completion": Shape(
        lambda r: "prompt" in r and "completion" in r, _prompt_completion, '{"prompt", "completion"}'
    ),
    "alpaca": Shape(
        lambda r: "instruction" in r and ("output" in r or "response" in r),
        _alpaca,
        '{"instruction", "input", "output"}',
    ),
    "question-answer": Shape(lambda r: "question" in r and "answer" in r, _question_answer, '{"question", "answer"}'),
    "reference": Shape(lambda r: "prompt" in r, _only_prompt, '{"prompt", "reference_answer"}'),
    "text": Shape(lambda r: isinstance(r.get("text", r.get("input")), str), _text, '{"text"}'),
}
"""In the order in which they are tried: the more telling ones first."""


def recognise(rows: Sequence[Row]) -> str:
    """The shape that the most of the first rows have. Raises DataError where none fits."""
    counts = {name: 0 for name in SHAPES}
    for row in rows:
        name = next((name for name, shape in SHAPES.items() if shape.fits(row)), None)
        if name:
            counts[name] += 1
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        columns = ", ".join(sorted({str(key) for row in rows for key in row})[:20])
        known = "; ".join(f"{name}: {shape.says}" for name, shape in SHAPES.items())
        raise DataError(f"the rows have no shape that is known. Their fields: {columns or 'none'}. Known are {known}")
    return best


def _example(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), reference: Mapping[str, Any] | None = None
) -> Example:
    if len(messages) < 2:
        raise DataError("a question and an answer are needed")
    last = messages[-1]
    if last.role != "assistant":
        raise DataError(f"the last message is from '{last.role}', but must be the assistant's answer")
    if not last.text.strip() and not last.tool_calls:
        raise DataError("the answer is empty")
    if not any(message.role in ("user", "tool") for message in messages[:-1]):
        raise DataError("no user's message stands before the answer")
    return Example(messages=tuple(messages), tools=tuple(tools), reference=dict(reference or {}))


def _turns(value: Any, role: str) -> list[Message]:
    if isinstance(value, str):
        return [openai_message({"role": role, "content": value})] if value.strip() else []
    if isinstance(value, Mapping):
        value = [value]
    return [openai_message(raw) for raw in as_list(value, "a conversation")]


def _tools(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        value = json.loads(value or "[]")
    return [dict(as_mapping(tool, "a tool")) for tool in value or ()]


def _openai_tool(tool: Any) -> dict[str, Any]:
    tool = as_mapping(tool, "a tool")
    function = {
        "name": tool.get("name"),
        "description": tool.get("description", ""),
        "parameters": tool.get("input_schema", {}),
    }
    return {"type": "function", "function": function}


def _has_blocks(row: Row) -> bool:
    messages = row["messages"] if isinstance(row["messages"], list) else []
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return any(isinstance(block, Mapping) and block.get("type") in BLOCKS for block in blocks)
