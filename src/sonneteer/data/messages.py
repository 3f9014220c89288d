"""Messages in the notations of others: OpenAI's, Anthropic's content blocks, Bedrock's, ShareGPT's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sonneteer.errors import DataError
from sonneteer.records import Message, Role, ToolCall

Row = Mapping[str, Any]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
}
IMAGES = {"image", "image_url", "input_image"}


def role_of(name: Any) -> Role:
    """The role that a name stands for. Raises DataError for an unknown one."""
    role = ROLES.get(str(name))
    if role is None:
        raise DataError(f"unknown role {str(name)[:30]!r}; known are {', '.join(ROLES)}")
    return role


def openai_message(raw: Any) -> Message:
    """OpenAI's and Hugging Face's message: content as text or parts, tool calls, the older function call, weight."""
    raw = as_mapping(raw, "a message")
    role = role_of(raw.get("role"))
    calls = [_openai_call(call) for call in raw.get("tool_calls") or ()]
    if raw.get("function_call"):
        calls.append(_openai_call({"id": "call_0", "function": raw["function_call"]}))
    weight = raw.get("weight", 1 if raw.get("train", True) else 0)
    if weight not in (0, 1):
        raise DataError(f"weight is {weight}, but must be 0 or 1")
    return Message(
        role=role,
        text=text_of(raw.get("content")),
        tool_calls=tuple(calls),
        tool_call_id=raw.get("tool_call_id"),
        is_learned=bool(weight),
    )


def _openai_call(raw: Any) -> ToolCall:
    function = as_mapping(as_mapping(raw, "a tool call").get("function"), "a tool call's function")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as problem:
            raise DataError(f"the arguments of a tool call are no JSON: {problem}") from problem
    return ToolCall(id=str(raw.get("id", "")), name=str(function.get("name", "")), arguments=arguments)


def anthropic_messages(raw: Any) -> list[Message]:
    """Anthropic's message, one or several of ours: tool results come before the user's own words."""
    raw = as_mapping(raw, "a message")
    role, content = role_of(raw.get("role")), raw.get("content")
    if isinstance(content, str):
        return [Message(role=role, text=content)]
    texts, calls, results = [], [], []
    for block in as_list(content, "content"):
        block = as_mapping(block, "a content block")
        match block.get("type"):
            case "text":
                texts.append(str(block.get("text", "")))
            case "tool_use":
                calls.append(ToolCall(id=str(block["id"]), name=str(block["name"]), arguments=block.get("input") or {}))
            case "tool_result":
                result = text_of(block.get("content"))
                results.append(Message(role="tool", text=result, tool_call_id=str(block["tool_use_id"])))
            case "thinking" | "redacted_thinking":
                continue
            case kind:
                _refuse_part(kind)
    if texts or calls or not results:
        results.append(Message(role=role, text="\n".join(texts), tool_calls=tuple(calls)))
    return results


def bedrock_messages(raw: Any) -> list[Message]:
    """A message of Bedrock's conversation schema, whose blocks are named by their key."""
    raw = as_mapping(raw, "a message")
    texts, calls, results = [], [], []
    for block in as_list(raw.get("content"), "content"):
        block = as_mapping(block, "a content block")
        if "text" in block:
            texts.append(str(block["text"]))
        elif "toolUse" in block:
            use = block["toolUse"]
            calls.append(ToolCall(id=str(use["toolUseId"]), name=str(use["name"]), arguments=use.get("input") or {}))
        elif "toolResult" in block:
            result = block["toolResult"]
            text = "\n".join(str(p.get("text", json.dumps(p.get("json")))) for p in result.get("content", ()))
            results.append(Message(role="tool", text=text, tool_call_id=str(result["toolUseId"])))
        else:
            _refuse_part(next(iter(block), None))
    if texts or calls or not results:
        results.append(Message(role=role_of(raw.get("role")), text="\n".join(texts), tool_calls=tuple(calls)))
    return results


def sharegpt_message(raw: Any) -> Message:
    """ShareGPT's turn: `from` and `value`; a function call is JSON in the value."""
    raw = as_mapping(raw, "a turn")
    name, value = raw.get("from", raw.get("role")), text_of(raw.get("value", raw.get("content")))
    if name != "function_call":
        return Message(role=role_of(name), text=value)
    call = as_mapping(json.loads(value), "a function call")
    return Message(
        role="assistant", tool_calls=(ToolCall(id="call_0", name=str(call["name"]), arguments=call.get("arguments") or {}),)
    )


def text_of(content: Any) -> str:
    """Text as it stands, or the text parts of a list. Raises DataError for images and other parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for part in as_list(content, "content"):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            _refuse_part(part.get("type") if isinstance(part, Mapping) else type(part).__name__)
    return "\n".join(texts)


def _refuse_part(kind: Any) -> None:
    if kind in IMAGES:
        raise DataError("images need a vision model, which this version cannot train")
    raise DataError(f"content of the kind {str(kind)[:30]!r} cannot be learned; use text")


def as_mapping(value: Any, what: str) -> Row:
    """The value, if it has named fields."""
    if not isinstance(value, Mapping):
        raise DataError(f"{what} must be an object with named fields, not {type(value).__name__}")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """The value, if it is a list."""
    if not isinstance(value, list | tuple):
        raise DataError(f"{what} must be a list, not {type(value).__name__}")
    return list(value)


def as_text(row: Row, key: str) -> str:
    """A field that must be text and say something."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"'{key}' must be a text that says something, not {type(value).__name__ if value else 'empty'}")
    return value
