"""Anthropic's Messages API: what its requests say, and its answers, events and errors.

Sampling settings are taken in every version of the API, though the newest one refuses them. `thinking`, `metadata`,
`cache_control`, `service_tier` and the effort of `output_config` are taken and have no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sonneteer.chat import Form, Picture
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt, ToolCall
from sonneteer.serving.asked import (
    Asked,
    Sampling,
    as_parts,
    illustrated,
    image_url,
    merged,
    options_of,
    set_out,
    split_prefill,
)
from sonneteer.serving.refusals import Refusal
from sonneteer.serving.wire import Wire

MERGED_ROLES = {"system", "user", "assistant"}


class Text(Wire):
    """Words."""

    type: Literal["text"]
    text: str


class ToolUse(Wire):
    """The assistant called a tool."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class Thought(Wire):
    """What the assistant thought before it answered. Left out: our models do not read it."""

    type: Literal["thinking", "redacted_thinking"]


class Unreadable(Wire):
    """Content that only Anthropic's own models read."""

    type: Literal[
        "document",
        "search_result",
        "container_upload",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "tool_reference",
        "mcp_tool_use",
        "mcp_tool_result",
    ]

    @model_validator(mode="after")
    def _is_refused(self) -> Unreadable:
        raise ValueError(
            f"content of type '{self.type}' is not supported: this server's models read text and tool calls"
        )


class Data(Wire):
    """An image as it is."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str

    @property
    def url(self) -> str:
        """As other APIs write it."""
        return f"data:{self.media_type};base64,{self.data}"


class Link(Wire):
    """Where an image is."""

    type: Literal["url"]
    url: str


class Image(Wire):
    """An image, for models that see."""

    type: Literal["image"]
    source: Annotated[Data | Link, Field(discriminator="type")]

    @model_validator(mode="after")
    def _is_an_image(self) -> Image:
        image_url(self.source.url)
        return self


class UnreadableResult(Wire):
    """An image that a tool gave."""

    type: Literal["image"]

    @model_validator(mode="after")
    def _is_refused(self) -> UnreadableResult:
        raise ValueError(
            "content of type 'image' is not supported in a tool's result: send it in a message of the user's"
        )


ResultBlock = Annotated[Text | UnreadableResult | Unreadable, Field(discriminator="type")]


class ToolResult(Wire):
    """What a tool said."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: Annotated[list[ResultBlock], BeforeValidator(as_parts, str | list[ResultBlock])] | None = None
    is_error: bool | None = None


Block = Annotated[Text | Image | ToolUse | ToolResult | Thought | Unreadable, Field(discriminator="type")]


class WireMessage(Wire):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Block], BeforeValidator(as_parts, str | list[Block])]


class Tool(Wire):
    """A tool of the client's own."""

    type: str | None = None
    name: str = Field(min_length=1)
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @field_validator("type")
    @classmethod
    def _is_custom(cls, value: str | None) -> str | None:
        if value not in (None, "custom"):
            raise ValueError(
                f"'{value[:60]}' is a tool that Anthropic runs; this server only knows tools of your own ('custom')"
            )
        return value

    def as_template_reads(self) -> dict[str, Any]:
        """In the notation of chat templates, as the training data has it, too."""
        function = {"name": self.name, "description": self.description, "parameters": self.input_schema}
        return {"type": "function", "function": function}


class ToolChoice(Wire):
    """Whether tools may be called: `auto` leaves it to the model, `any` and `tool` make it call one."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _is_named(self) -> ToolChoice:
        if self.type == "tool" and not self.name:
            raise ValueError("name: Field required")
        return self


class JsonFormat(Wire):
    """The answer is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Wire):
    """The form of the answer."""

    format: JsonFormat | None = None


class CountRequest(Wire):
    """The body of POST /v1/messages/count_tokens."""

    model: str
    messages: list[WireMessage] = Field(min_length=1, max_length=100_000)
    system: Annotated[list[Text], BeforeValidator(as_parts, str | list[Text])] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest):
    """The body of POST /v1/messages."""

    max_tokens: int = Field(ge=0)
    stream: bool | None = None
    stop_sequences: list[str] | None = Field(None, max_length=64)
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)


def asked(request: CountRequest, settings: ServingSettings, seed: int) -> Asked:
    """What the request asks. Raises Refusal where its parts do not fit together."""
    system = _joined(request.system or ())
    messages = [Message(role="system", text=system)] if system else []
    for index, said in enumerate(request.messages):
        messages += _messages(said, f"messages.{index}")
    conversation, prefill = split_prefill(merged(messages, MERGED_ROLES))
    tools = _tools(request)
    return Asked(
        prompt=Prompt(messages=conversation, tools=tools),
        choices=(options_of(_sampling(request), prefill, settings, seed, _form(request)),),
    )


def _tools(request: CountRequest) -> tuple[dict[str, Any], ...]:
    """The tools that may be called."""
    choice = request.tool_choice or ToolChoice(type="auto")
    names = [tool.name for tool in request.tools or ()]
    if len(set(names)) < len(names):
        raise Refusal(400, "tools: Tool names must be unique.", field="tools")
    if choice.type in ("any", "tool") and not names:
        raise Refusal(400, f"tool_choice: '{choice.type}' needs tools", field="tool_choice")
    if choice.type == "tool" and choice.name not in names:
        raise Refusal(400, f"tool_choice.name: there is no tool '{choice.name}'", field="tool_choice.name")
    return () if choice.type == "none" else tuple(tool.as_template_reads() for tool in request.tools or ())


def _form(request: CountRequest) -> Form:
    choice = request.tool_choice or ToolChoice(type="auto")
    wanted = request.output_config.format if request.output_config else None
    if wanted is not None and choice.type in ("any", "tool"):
        raise Refusal(400, "output_config.format: an answer cannot be JSON and a tool call", field="output_config")
    return Form(
        json_schema=wanted.json_schema if wanted else None,
        must_call=choice.type in ("any", "tool"),
        only_tool=choice.name if choice.type == "tool" else None,
        has_one_call=bool(choice.disable_parallel_tool_use),
    )


def _sampling(request: CountRequest) -> Sampling:
    if not isinstance(request, MessagesRequest):
        return Sampling(None, None, None, None, ())
    return Sampling(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or (),
    )


def _messages(said: WireMessage, path: str) -> list[Message]:
    """A message as our messages: tool results come before the user's own words, as the training data has it."""
    _check_roles(said, path)
    results = [
        Message(role="tool", text=_joined(block.content or []), tool_call_id=block.tool_use_id)
        for block in said.content
        if isinstance(block, ToolResult)
    ]
    calls = tuple(
        ToolCall(id=block.id, name=block.name, arguments=block.input)
        for block in said.content
        if isinstance(block, ToolUse)
    )
    text, pictures = set_out(_parts(said, path))
    if text or pictures or calls or not results:
        return [*results, illustrated(Message(role=said.role, text=text, tool_calls=calls), pictures)]
    return results


def _parts(said: WireMessage, path: str) -> Iterator[str | Picture]:
    for index, block in enumerate(said.content):
        if isinstance(block, Text):
            yield block.text
        elif isinstance(block, Image):
            yield Picture(block.source.url, f"{path}.content.{index}")


def _check_roles(said: WireMessage, path: str) -> None:
    for index, block in enumerate(said.content):
        place = f"{path}.content.{index}"
        if isinstance(block, ToolUse) and said.role != "assistant":
            raise Refusal(400, f"{place}: `tool_use` blocks can only be in `assistant` messages", field=place)
        if isinstance(block, Image) and said.role != "user":
            raise Refusal(400, f"{place}: `image` blocks can only be in `user` messages", field=place)
        if isinstance(block, ToolResult) and said.role != "user":
            raise Refusal(400, f"{place}: `tool_result` blocks can only be in `user` messages", field=place)


def _joined(blocks: Any) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, Text))
