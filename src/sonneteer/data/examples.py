"""A row becomes an example: one function for each shape in which people keep training data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sonneteer.data.messages import (
    IMAGE_REFUSAL,
    anthropic_message,
    bedrock_message,
    conversation,
    linked,
    openai_message,
    sharegpt_message,
    text_of,
)
from sonneteer.data.values import Fields, as_fields, as_list, as_text, is_given
from sonneteer.errors import DataError
from sonneteer.records import Example, Message

PROMPTS = ("prompt", "question", "input")
ANSWERS = ("completion", "response", "answer", "output")
INSTRUCTED = ("output", "response", "completion", "answer")
UNANSWERED = "(not answered yet)"
MORE = ("input", "context")
TURNS = ("conversations", "conversation", "items", "dialog")
LABELS = ("label", "kto_tag")
IMAGES = ("images", "image")
TAGS = ("person", "conversation", "document", "topic", "group", "source", "time")
ASKING = (*PROMPTS, *TURNS, *MORE, "messages", "instruction", "history", "system", "system_prompt", "tools")
"""Fields that ask. Of a row with a reference answer all others are for rewards."""
OTHER_USES = (*TAGS, "tags", "reference", "functions", "parallel_tool_calls")
VERDICTS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
HH_TURN = re.compile(r"\n\n(Human|Assistant):")
LISTED_MESSAGES = re.compile(r'\s*\[\s*\{\s*"(role|from|content|value)"')


# Conversations ---------------------------------------------------------------------------------


def chat(row: Fields) -> Example:
    """OpenAI's and Hugging Face's `messages`."""
    messages = conversation(row.get("messages"), "'messages'", openai_message)
    return _example(_with_system(row, messages), row, tools=_tools(row.get("tools") or row.get("functions")))


def anthropic(row: Fields) -> Example:
    """Anthropic's `messages` with content blocks, the system prompt beside them."""
    messages = conversation(row.get("messages"), "'messages'", anthropic_message)
    return _example(_with_system(row, messages), row, tools=_tools(row.get("tools")))


def bedrock(row: Fields) -> Example:
    """Bedrock's schema bedrock-conversation-2024."""
    messages = conversation(row.get("messages"), "'messages'", bedrock_message)
    tools = as_fields(row.get("toolConfig") or {}, "'toolConfig'").get("tools")
    return _example(_with_system(row, messages), row, tools=_tools(tools))


def sharegpt(row: Fields) -> Example:
    """ShareGPT's `conversations`."""
    return _example(_turns(row), row, tools=_tools(row.get("tools")))


def _turns(row: Fields) -> list[Message]:
    key = first(row, TURNS) or TURNS[0]
    messages = _with_system(row, conversation(row.get(key), f"'{key}'", sharegpt_message))
    opening = 1 if messages and messages[0].role == "system" else 0
    while messages[opening:] and messages[opening].role == "assistant":  # a greeting that nobody asked for
        messages.pop(opening)
    return messages


# Question and answer ---------------------------------------------------------------------------


def prompt_completion(row: Fields) -> Example:
    """A question and its answer, as text or as messages."""
    prompt = _prompt(row)
    key = first(row, ANSWERS)
    if key is None:
        raise DataError(
            "there is no answer to learn: 'completion' is missing. Where another field holds the answer, name it under "
            "`fields` of the source"
        )
    return _example([*prompt, *_said(row[key], key, "assistant")], row, tools=_tools(row.get("tools")))


def asked(row: Fields) -> Example:
    """A prompt that nobody has answered yet. Whatever answer it has is not looked at."""
    if "messages" in row:
        messages = _with_system(row, conversation(row.get("messages"), "'messages'", openai_message))
        prompt = messages[:-1] if messages and messages[-1].role == "assistant" else messages
    else:
        prompt = _prompt(row)
    return _example([*prompt, Message(role="assistant", text=UNANSWERED)], row, tools=_tools(row.get("tools")))


def referred(row: Fields) -> Example:
    """A prompt with what is right, for rewards (OpenAI's, Bedrock's and TRL's). That stands as the answer, too.

    Rewards see all other columns: they are the example's `reference`.
    """
    right = row.get("reference_answer")
    text = right if isinstance(right, str) else json.dumps(right, ensure_ascii=False)
    example = asked(row).with_answer(Message(role="assistant", text=as_text(text, "'reference_answer'")))
    columns = {key: value for key, value in row.items() if key not in (*ASKING, *OTHER_USES) and is_given(value)}
    return example.model_copy(update={"reference": columns | example.reference})


def alpaca(row: Fields) -> Example:
    """An instruction, perhaps with an input, and its output."""
    key = first(row, INSTRUCTED) or INSTRUCTED[0]
    return _example([*_prompt(row), Message(role="assistant", text=as_text(row.get(key), f"'{key}'"))], row)


def _prompt(row: Fields) -> list[Message]:
    """What is asked, in whichever of the notations the row has."""
    if "instruction" in row:
        return _with_system(row, [*_history(row), Message(role="user", text=_instruction(row))])
    if (key := first(row, PROMPTS)) is not None:
        return _with_system(row, _said(row[key], key, "user"))
    if first(row, TURNS) is not None:
        return _turns(row)
    return []


def _instruction(row: Fields) -> str:
    instruction = as_text(row.get("instruction"), "'instruction'")
    more = next((key for key in MORE if str(row.get(key, "")).strip()), None)
    if more is None:
        return instruction
    more_text = as_text(row[more], f"'{more}'")
    return f"{instruction}\n{more_text}"


def _history(row: Fields) -> list[Message]:
    messages = []
    for pair in as_list(row.get("history"), "'history'", may_lack=True):
        said = as_list(pair, "a pair of 'history'")
        if len(said) != 2:
            raise DataError("a pair of 'history' must be a question and an answer")
        messages.append(Message(role="user", text=as_text(said[0], "a question of 'history'")))
        messages.append(Message(role="assistant", text=as_text(said[1], "an answer of 'history'")))
    return messages


def text(row: Fields) -> Example:
    """Plain text, learned whole."""
    key = first(row, ("text", "input")) or "text"
    return Example(messages=(Message(role="assistant", text=as_text(row.get(key), f"'{key}'")),), is_text=True)


# What people liked -----------------------------------------------------------------------------


def unpaired(row: Fields) -> Example:
    """An answer that people liked or did not."""
    label = row.get(first(row, LABELS) or LABELS[0])
    is_liked = VERDICTS.get(str(label).lower())
    if is_liked is None:
        raise DataError("the label must be true or false")
    return _plain(row).model_copy(update={"label": is_liked})


def _plain(row: Fields) -> Example:
    """The same row as if nobody had judged it."""
    if "messages" in row:
        return chat(row)
    if "instruction" in row:
        return alpaca(row)
    return sharegpt(row) if first(row, TURNS) else prompt_completion(row)


def exchange(row: Fields) -> Example:
    """A live answer that people corrected, liked or disliked; `data.traffic` writes such rows."""
    example = prompt_completion(row)
    rejected = row.get("rejected")
    if rejected is not None:
        return example.model_copy(update={"rejected": Message(role="assistant", text=as_text(rejected, "'rejected'"))})
    return example.model_copy(update={"label": bool(row.get("label"))})


def preference(row: Fields) -> Example:
    """TRL's explicit and implicit, Alpaca's, ShareGPT's, Orca's, and Anthropic's HH pairs."""
    chosen, rejected = (_said(row.get(key), key, "assistant") for key in ("chosen", "rejected"))
    if chosen[0].role == "assistant":
        return _pair(_prompt(row), chosen, rejected, row)
    # Both sides are whole conversations: a prompt beside them says nothing new.
    return _pair([], _with_system(row, chosen), _with_system(row, rejected), row)


def openai_preference(row: Fields) -> Example:
    """OpenAI's, Azure's, Together's and Fireworks' pairs."""
    asked = as_fields(row.get("input"), "'input'")
    prompt = conversation(asked.get("messages"), "'input.messages'", openai_message)
    chosen, rejected = (
        conversation(row.get(key), f"'{key}'", openai_message) for key in ("preferred_output", "non_preferred_output")
    )
    if not chosen or not rejected:
        raise DataError("'preferred_output' and 'non_preferred_output' must each hold an answer")
    return _pair(prompt, chosen, rejected, {**row, "tools": asked.get("tools")})


def _pair(prompt: list[Message], chosen: list[Message], rejected: list[Message], row: Fields) -> Example:
    if chosen[:-1] != rejected[:-1]:
        raise DataError("the chosen and the rejected side must differ in nothing but the last answer")
    if chosen[-1] == rejected[-1]:
        raise DataError("the chosen and the rejected answer are the same")
    better, worse = (_example([*prompt, *side], row, tools=_tools(row.get("tools"))) for side in (chosen, rejected))
    return better.model_copy(update={"rejected": worse.answer})


# Parts of them ---------------------------------------------------------------------------------


def _example(messages: Sequence[Message], row: Fields, tools: Sequence[dict[str, Any]] = ()) -> Example:
    if any(is_given(row.get(key)) for key in IMAGES):
        raise DataError(IMAGE_REFUSAL)
    messages = linked([message for message in messages if message.role != "system" or message.text.strip()])
    if not messages or messages[-1].role != "assistant":
        last = f"the last message is the {messages[-1].role}'s" if messages else "there is no message"
        raise DataError(f"{last}, but it must be the assistant's answer")
    if not any(message.role in ("user", "tool") for message in messages):
        raise DataError("there is no question before the answer")
    for message in messages:
        if message.role != "tool" and not message.text.strip() and not message.tool_calls:
            which = "answer" if message is messages[-1] else f"{message.role}'s message"
            raise DataError(f"the {which} is empty")
    return Example(messages=tuple(messages), tools=tuple(tools), reference=_reference(row))


def _with_system(row: Fields, messages: list[Message]) -> list[Message]:
    """With the system prompt that stands beside the messages, unless they bring their own."""
    system = text_of(row.get("system") or row.get("system_prompt"))
    if not system.strip() or any(message.role == "system" for message in messages):
        return messages
    return [Message(role="system", text=system), *messages]


def _said(value: Any, key: str, role: str) -> list[Message]:
    """Text, HH's text with 'Human:' and 'Assistant:', one message, or a list of messages."""
    if isinstance(value, str) and HH_TURN.match(value):
        return _hh(value)
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list | tuple) or (isinstance(value, str) and LISTED_MESSAGES.match(value)):
        messages = conversation(value, f"'{key}'", sharegpt_message)
        if not messages:
            raise DataError(f"'{key}' is empty")
        return messages
    return openai_message({"role": role, "content": as_text(value, f"'{key}'")})


def _hh(text: str) -> list[Message]:
    parts = HH_TURN.split(text)[1:]
    turns = [(name, said.strip()) for name, said in zip(parts[::2], parts[1::2], strict=True)]
    if len(turns) > 1 and not turns[-1][1]:  # a prompt ends in 'Assistant:', and the answer stands elsewhere
        turns.pop()
    return [Message(role="user" if name == "Human" else "assistant", text=said) for name, said in turns]


def _tools(value: Any) -> list[dict[str, Any]]:
    """Tools in OpenAI's notation, from OpenAI's, Anthropic's or Bedrock's."""
    return [_tool(as_fields(tool, "a tool")) for tool in as_list(value, "'tools'", may_lack=True)]


def _tool(tool: Fields) -> dict[str, Any]:
    if "function" in tool:
        return dict(tool)
    said = as_fields(tool.get("toolSpec", tool), "'toolSpec'")
    key = first(said, ("input_schema", "inputSchema", "parameters"))
    schema = as_fields((said.get(key) if key else None) or {}, "a tool's schema")
    function = {
        "name": as_text(said.get("name"), "a tool's name"),
        "description": text_of(said.get("description")),
        "parameters": dict(as_fields(schema.get("json", schema), "a tool's schema")),
    }
    return {"type": "function", "function": function}


def _reference(row: Fields) -> dict[str, Any]:
    """What a scorer may compare an answer with."""
    reference = row.get("reference")
    known = dict(as_fields(reference, "'reference'")) if isinstance(reference, Mapping) else {}
    if is_given(row.get("reference_answer")):
        known["reference_answer"] = row["reference_answer"]
    return known


def first(row: Fields, names: Sequence[str]) -> str | None:
    """The first of these names that the row has."""
    return next((name for name in names if name in row), None)
