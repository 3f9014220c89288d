"""Messages in the notations of others: OpenAI's, Anthropic's content blocks, Bedrock's, ShareGPT's.

Reasons for refusing one name fields, kinds and positions, and never what stands in them: the ledger and the terminal
are read by people who may not read the data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from sonneteer.data.values import Fields, as_fields, as_json, as_list, as_name, is_given, kind_of
from sonneteer.errors import DataError
from sonneteer.records import Message, Role, ToolCall

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "agent": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
IMAGES = {"image", "image_url", "input_image"}
IMAGE_REFUSAL = "images need a vision model, which this version cannot train"


def conversation(raw: Any, what: str, read: Callable[[Any], list[Message]]) -> list[Message]:
    """All messages of a list. Raises DataError, which says which message it is about."""
    messages: list[Message] = []
    for number, one in enumerate(as_list(raw, what), 1):
        try:
            messages += read(one)
        except DataError as problem:
            raise DataError(f"message {number}: {problem}") from problem
    return messages


def openai_message(raw: Any) -> list[Message]:
    """OpenAI's and Hugging Face's: content as text or parts, tool calls, the older function call, and its weight."""
    fields = as_fields(raw, "it")
    calls = [_openai_call(call) for call in as_list(fields.get("tool_calls"), "'tool_calls'", may_lack=True)]
    if is_given(fields.get("function_call")):
        calls.append(_openai_call({"function": fields["function_call"]}))
    message = Message(
        role=role_of(fields.get("role")),
        text=text_of(fields.get("content")),
        tool_calls=tuple(calls),
        tool_call_id=as_name(fields.get("tool_call_id")),
        weight=_weight(fields),
    )
    return [message]


def anthropic_message(raw: Any) -> list[Message]:
    """Anthropic's, which may become several: results of tools stand before the user's own words."""
    fields = as_fields(raw, "it")
    texts, calls, results = [], [], []
    for block in _blocks(fields.get("content")):
        match block.get("type"):
            case "text":
                texts.append(text_of([block]))
            case "tool_use":
                calls.append(_call(block.get("id"), block.get("name"), block.get("input")))
            case "tool_result":
                results.append(_result(block.get("tool_use_id"), text_of(block.get("content"))))
            case "thinking" | "redacted_thinking":
                continue
            case kind:
                refuse_part(kind)
    return results + _said(role_of(fields.get("role")), texts, calls, results)


def bedrock_message(raw: Any) -> list[Message]:
    """One of Bedrock's conversation schema, whose blocks are named by their key."""
    fields = as_fields(raw, "it")
    texts, calls, results = [], [], []
    for block in _blocks(fields.get("content")):
        if "text" in block:
            texts.append(text_of([block]))
        elif "toolUse" in block:
            use = as_fields(block["toolUse"], "'toolUse'")
            calls.append(_call(use.get("toolUseId"), use.get("name"), use.get("input")))
        elif "toolResult" in block:
            result = as_fields(block["toolResult"], "'toolResult'")
            parts = [_bedrock_part(part) for part in as_list(result.get("content"), "'content'")]
            results.append(_result(result.get("toolUseId"), "\n".join(parts)))
        elif "reasoningContent" not in block:
            refuse_part(next(iter(block), None))
    return results + _said(role_of(fields.get("role")), texts, calls, results)


def sharegpt_message(raw: Any) -> list[Message]:
    """ShareGPT's turn: `from` and `value`. A function call is JSON in the value."""
    fields = as_fields(raw, "it")
    if "from" not in fields:
        return openai_message(fields)
    text = text_of(fields.get("value"))
    if fields["from"] != "function_call":
        return [Message(role=role_of(fields["from"]), text=text, weight=_weight(fields))]
    called = as_json(text, "the function call")
    calls = [_openai_call(call) for call in (called if isinstance(called, list) else [called])]
    return [Message(role="assistant", tool_calls=tuple(calls), weight=_weight(fields))]


def role_of(name: Any) -> Role:
    """The role that a name stands for."""
    if name is None:
        raise DataError("it has no role: 'role', or 'from', is missing")
    role = ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if role is None:
        raise DataError(f"its role is none of {', '.join(ROLES)}")
    return role


def text_of(content: Any) -> str:
    """Text as it stands, or the text parts of a list, one below the other."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list | tuple):
        raise DataError(f"its content must be text or a list of parts, not {kind_of(content)}")
    texts = []
    for part in content:
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, str):
            texts.append(part)
        else:
            refuse_part(part.get("type") if isinstance(part, Mapping) else kind_of(part))
    return "\n".join(texts)


OTHER_PARTS = ("audio", "document", "file", "input_audio", "input_file", "refusal", "thinking", "tool_result", "video")
"""Kinds of parts that a complaint may name. Any other word could be somebody's secret in the wrong place."""


def refuse_part(kind: Any) -> NoReturn:
    """Say of a part of a message why it cannot be learned."""
    if kind in IMAGES:
        raise DataError(IMAGE_REFUSAL)
    named = f" of the kind '{kind}'" if kind in OTHER_PARTS else ""
    raise DataError(f"a part{named} cannot be learned, only text")


def linked(messages: Sequence[Message]) -> list[Message]:
    """Every tool call has an id, and every result belongs to a call. Older notations leave the ids out."""
    waiting: list[str] = []
    done: list[Message] = []
    for message in messages:
        if message.tool_calls:
            calls = tuple(_named(call, f"call_{len(done)}_{i}") for i, call in enumerate(message.tool_calls))
            waiting += [call.id for call in calls]
            message = message.model_copy(update={"tool_calls": calls})
        elif message.role == "tool":
            id = message.tool_call_id or next(iter(waiting), None)
            if id not in waiting:
                raise DataError("a tool's result belongs to no call before it")
            waiting.remove(id)
            message = message.model_copy(update={"tool_call_id": id})
        done.append(message)
    return done


def _named(call: ToolCall, id: str) -> ToolCall:
    return call if call.id else call.model_copy(update={"id": id})


def _weight(fields: Fields) -> float:
    """What a message counts in training: a number as `weight`, or true and false as `train`, as Axolotl has it."""
    train, weight = fields.get("train"), fields.get("weight")
    if train is not None and not isinstance(train, bool):
        raise DataError("'train' must be true or false")
    if weight is None:
        return float(train is not False)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        raise DataError("'weight' must be a number, 0 or more")
    return float(weight) if train is not False else 0.0


def _openai_call(raw: Any) -> ToolCall:
    call = as_fields(raw, "a tool call")
    function = as_fields(call.get("function", call), "a tool call's function")
    return _call(call.get("id"), function.get("name"), function.get("arguments"))


def _call(id: Any, name: Any, arguments: Any) -> ToolCall:
    if isinstance(arguments, str):
        arguments = as_json(arguments or "{}", "the arguments of a tool call")
    if not isinstance(name, str) or not name:
        raise DataError("a tool call lacks the tool's name")
    fields = as_fields(arguments or {}, "the arguments of a tool call")
    return ToolCall(id=as_name(id) or "", name=name, arguments=dict(fields))


def _result(id: Any, text: str) -> Message:
    return Message(role="tool", text=text, tool_call_id=as_name(id))


def _said(role: Role, texts: list[str], calls: list[ToolCall], results: list[Message]) -> list[Message]:
    """What the speaker says besides passing on results: nothing, perhaps, where there are results."""
    if not texts and not calls and results:
        return []
    return [Message(role=role, text="\n".join(texts), tool_calls=tuple(calls))]


def _blocks(content: Any) -> list[Fields]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [as_fields(block, "a part of its content") for block in as_list(content, "its content")]


def _bedrock_part(raw: Any) -> str:
    part = as_fields(raw, "a part of a tool's result")
    if "text" in part:
        return text_of([part])
    if "json" in part:
        return json.dumps(part["json"], ensure_ascii=False)
    refuse_part(next(iter(part), None))
