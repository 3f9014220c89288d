"""Conversations with images in the notation of OpenAI's API: the server's own template says where an image stands."""

from __future__ import annotations

from itertools import pairwise

from sonneteer.chat import Illustrated
from sonneteer.models.attached.http import Body
from sonneteer.records import Message, Prompt
from sonneteer.records.rows import as_openai


def as_chat(prompt: Prompt, begun: str) -> Body:
    """The part of a request that tells what is read, and the answer's first words if they are given.

    The template shows the tools; calls are read on our side, so the server is told to look for none.
    """
    body: Body = {"messages": [as_openai(said) | {"content": _content(said)} for said in prompt.messages]}
    if begun:
        body["messages"].append({"role": "assistant", "content": begun})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return body | ({"tools": list(prompt.tools), "tool_choice": "none"} if prompt.tools else {})


def _content(said: Message) -> str | list[Body]:
    if not isinstance(said, Illustrated):
        return said.text
    parts: list[Body] = []
    cuts = [0, *(picture.at for picture in said.pictures), len(said.text)]
    for number, (start, end) in enumerate(pairwise(cuts)):
        if number:
            parts.append({"type": "image_url", "image_url": {"url": said.pictures[number - 1].url}})
        if text := said.text[start:end].removeprefix("\n"):
            parts.append({"type": "text", "text": text})
    return parts
