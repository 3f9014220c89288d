"""What a request asks of a model, in our own words, whatever dialect it came in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sonneteer.chat import Form, Illustrated, Options, Picture
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt
from sonneteer.serving.refusals import Refusal

COLDEST = 0.01
"""Below this temperature the likeliest token is certain in any case, and dividing by it may overflow."""
NARROWEST = 1e-6
"""A nucleus of nothing holds the likeliest token alone."""

IMAGE_KINDS = {f"data:image/{kind}" for kind in ("jpeg", "png", "gif", "webp")}


class Asked(NamedTuple):
    """One request."""

    prompt: Prompt
    choices: tuple[Options, ...]
    """One for each answer that is wanted; they differ in their seeds."""
    texts: tuple[str | tuple[int, ...], ...] = ()
    """For each choice plain text or token ids to be read as they are, in place of the prompt."""

    @property
    def conversation(self) -> Prompt:
        """The prompt with the answer's given beginning as its last message."""
        if not self.choices[0].prefill:
            return self.prompt
        begun = Message(role="assistant", text=self.choices[0].prefill)
        return self.prompt.model_copy(update={"messages": (*self.prompt.messages, begun)})


class Sampling(NamedTuple):
    """How a request wants its answer drawn; None where it does not say."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Iterable[str]


def options_of(
    sampling: Sampling, prefill: str, settings: ServingSettings, seed: int, form: Form | None = None
) -> Options:
    """The request's wishes within the server's limits."""
    temperature = settings.temperature if sampling.temperature is None else sampling.temperature
    wanted = settings.max_answer_tokens if sampling.max_tokens is None else sampling.max_tokens
    return Options(
        max_tokens=min(wanted, settings.max_answer_tokens),
        temperature=temperature if temperature >= COLDEST else 0.0,
        top_p=1.0 if sampling.top_p is None else max(sampling.top_p, NARROWEST),
        top_k=sampling.top_k or None,
        stop=tuple(stop for stop in sampling.stop if stop),
        seed=seed,
        prefill=prefill,
        form=form or Form(),
    )


def as_parts(content: Any) -> Any:
    """Content as a list of parts: plain text is one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def split_prefill(messages: list[Message]) -> tuple[tuple[Message, ...], str]:
    """The conversation, and the beginning of the answer if its last message is the assistant's."""
    prefill = ""
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        if last.tool_calls:
            raise Refusal(
                400, "messages: the last message calls a tool, so the tool's result must follow it", field="messages"
            )
        prefill = last.text
    if not any(message.role in ("user", "tool") for message in messages):
        raise Refusal(400, "messages: at least one user message is required", field="messages")
    return tuple(messages), prefill


def merged(messages: Iterable[Message], roles: set[str]) -> list[Message]:
    """Consecutive messages of one of these roles become one, a line after the other."""
    told: list[Message] = []
    for message in messages:
        if told and message.role == told[-1].role and message.role in roles:
            message = _joined(told.pop(), message)
        told.append(message)
    return told


def _joined(before: Message, message: Message) -> Message:
    text = "\n".join(text for text in (before.text, message.text) if text)
    shift = len(text) - len(message.text)
    later = [picture._replace(at=picture.at + shift) for picture in _pictures(message)]
    joined = message.model_copy(update={"text": text, "tool_calls": before.tool_calls + message.tool_calls})
    return illustrated(joined, [*_pictures(before), *later])


def _pictures(message: Message) -> tuple[Picture, ...]:
    return message.pictures if isinstance(message, Illustrated) else ()


def illustrated(message: Message, pictures: Sequence[Picture]) -> Message:
    """The message with these images, if there are any."""
    return Illustrated(**{**dict(message), "pictures": tuple(pictures)}) if pictures else message


def set_out(parts: Iterable[str | Picture]) -> tuple[str, list[Picture]]:
    """The words, a part on each line, and the images, which know where they stood among them."""
    texts: list[str] = []
    pictures: list[Picture] = []
    length = -1
    for part in parts:
        if isinstance(part, Picture):
            pictures.append(part._replace(at=max(length, 0)))
        else:
            texts.append(part)
            length += len(part) + 1
    return "\n".join(texts), pictures


def image_url(url: str) -> str:
    """The same if it is the address of an image or an image itself. Raises ValueError if it is neither."""
    head, _, data = url.partition(";base64,")
    if url.startswith(("https://", "http://")):
        return url
    if head not in IMAGE_KINDS:
        raise ValueError(
            "an image is an https: address, or base64 data of image/jpeg, image/png, image/gif or image/webp"
        )
    try:
        if not base64.b64decode(data, validate=True):
            raise ValueError("the image is empty")
    except binascii.Error:
        raise ValueError("the image is no base64 data") from None
    return url
