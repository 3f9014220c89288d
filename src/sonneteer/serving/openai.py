"""OpenAI's Chat Completions API: what its requests say.

`reasoning_effort`, `verbosity`, `metadata`, `store`, `user`, `service_tier`
and `prediction` are taken and have no effect. A last message of the assistant is the beginning of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import from_json

from sonneteer.chat import Form, Picture
from sonneteer.recipe.sections import ServingSettings
from sonneteer.records import Message, Prompt, Role, ToolCall
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

ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class Text(Wire):
    """Words."""

    type: Literal["text"]
    text: str


class RefusalText(Wire):
    """Words with which the assistant declined."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        """The words."""
        return self.refusal


class Unreadable(Wire):
    """Content that our models do not read."""

    type: Literal["input_audio", "file", "video_url"]

    @model_validator(mode="after")
    def _is_refused(self) -> Unreadable:
        raise ValueError(
            f"content of type '{self.type}' is not supported: this server's models read text and tool calls"
        )


class ImageUrl(Wire):
    """Where an image is, or itself as a `data:` URL."""

    url: Annotated[str, AfterValidator(image_url)]


class Image(Wire):
    """An image, for models that see."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[Text | RefusalText | Image | Unreadable, Field(discriminator="type")]


def _as_list(stop: Any) -> Any:
    """One text is a list of one."""
    return [stop] if isinstance(stop, str) else stop


class Called(Wire):
    """A tool's name and its arguments as JSON."""

    name: str
    arguments: str


class Call(Wire):
    """The assistant called a tool."""

    id: str
    type: Literal["function"] = "function"
    function: Called


class WireMessage(Wire):
    """One message."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Annotated[list[Part], BeforeValidator(as_parts, str | list[Part])] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(Wire):
    """What a tool can do."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Wire):
    """A tool of the client's own."""

    type: Literal["function"]
    function: Function


class StreamOptions(Wire):
    """What a stream brings besides the answer."""

    include_usage: bool | None = None


class JsonSchema(Wire):
    """A schema and its name."""

    name: str
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(Wire):
    """The form of the answer: text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema: Field required")
        return self

    @property
    def wanted(self) -> dict[str, Any] | None:
        """The schema to follow."""
        if self.json_schema is not None and self.type == "json_schema":
            return self.json_schema.json_schema
        return {"type": "object"} if self.type == "json_object" else None


class NamedFunction(Wire):
    """A tool by its name."""

    name: str


class NamedTool(Wire):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(Wire):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[WireMessage] = Field(min_length=1, max_length=100_000)
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(None, ge=1, le=128)
    stop: Annotated[list[str], BeforeValidator(_as_list, str | list[str]), Field(max_length=4)] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    modalities: list[str] | None = None
    functions: Any = None
    function_call: Any = None

    @field_validator("functions", "function_call")
    @classmethod
    def _is_absent(cls, value: Any) -> Any:
        if value:
            raise ValueError("no longer part of the API; use 'tools' and 'tool_choice'")
        return value

    @field_validator("modalities")
    @classmethod
    def _is_text(cls, value: list[str] | None) -> list[str] | None:
        if value and value != ["text"]:
            raise ValueError("only ['text'] is supported")
        return value


def asked(request: ChatRequest, settings: ServingSettings, seed: int) -> Asked:
    """What the request asks. Raises Refusal where its parts do not fit together."""
    messages = [_message(said, f"messages.{index}") for index, said in enumerate(request.messages)]
    # Templates know one system message; a user's or an assistant's stand as they came, as in the training data.
    conversation, prefill = split_prefill(merged(messages, {"system"}))
    form = _form(request)
    tools = () if request.tool_choice == "none" else tuple(_template_tool(tool) for tool in request.tools or ())
    wanted = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    sampling = Sampling(
        max_tokens=wanted,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=None,
        stop=request.stop or (),
    )
    first = (seed if request.seed is None else request.seed) % 2**63
    options = options_of(sampling, prefill, settings, first, form).model_copy(
        update={
            "frequency_penalty": request.frequency_penalty or 0.0,
            "presence_penalty": request.presence_penalty or 0.0,
            "logit_bias": bias_of(request.logit_bias),
            "log_probs": (request.top_logprobs or 0) if request.logprobs else None,
        }
    )
    return Asked(
        prompt=Prompt(messages=conversation, tools=tools),
        choices=tuple(options.model_copy(update={"seed": (first + i) % 2**63}) for i in range(request.n or 1)),
    )


def bias_of(biases: dict[str, float] | None) -> dict[int, float]:
    """The biases by token. Raises Refusal for what is no token's number."""
    try:
        return {int(token): bias for token, bias in (biases or {}).items()}
    except ValueError:
        raise Refusal(400, "logit_bias: its keys are numbers of tokens", field="logit_bias") from None


def _form(request: ChatRequest) -> Form:
    choice = request.tool_choice
    only = choice.function.name if isinstance(choice, NamedTool) else None
    names = [tool.function.name for tool in request.tools or ()]
    must_call = choice == "required" or only is not None
    if must_call and (not names or (only is not None and only not in names)):
        problem = f"there is no tool '{only}'" if only and names else "'required' needs tools"
        raise Refusal(400, f"tool_choice: {problem}", field="tool_choice")
    schema = request.response_format.wanted if request.response_format and not must_call else None
    one_call = request.parallel_tool_calls is False or only is not None
    return Form(json_schema=schema, must_call=must_call, only_tool=only, has_one_call=one_call)


def _message(said: WireMessage, path: str) -> Message:
    if said.role == "tool" and said.tool_call_id is None:
        raise Refusal(400, f"{path}.tool_call_id: Field required", field=f"{path}.tool_call_id")
    if said.role != "assistant" and said.content is None:
        raise Refusal(400, f"{path}.content: Field required", field=f"{path}.content")
    if said.role != "assistant" and said.tool_calls:
        raise Refusal(400, f"{path}.tool_calls: only the assistant calls tools", field=f"{path}.tool_calls")
    text, pictures = set_out(_parts(said, path))
    if pictures and said.role != "user":
        place = pictures[0].place
        raise Refusal(400, f"{place}: only the user's messages may have images", field=place)
    calls = [_call(call, f"{path}.tool_calls.{index}") for index, call in enumerate(said.tool_calls or ())]
    message = Message(
        role=ROLES[said.role],
        text=text,
        tool_calls=tuple(calls),
        tool_call_id=said.tool_call_id if said.role == "tool" else None,
    )
    return illustrated(message, pictures)


def _parts(said: WireMessage, path: str) -> Iterator[str | Picture]:
    for index, part in enumerate(said.content or ()):
        if isinstance(part, Image):
            yield Picture(part.image_url.url, f"{path}.content.{index}")
        elif not isinstance(part, Unreadable):
            yield part.text


def _call(call: Call, path: str) -> ToolCall:
    path = f"{path}.function.arguments"
    try:
        arguments = from_json(call.function.arguments or "{}", allow_inf_nan=False)
    except ValueError as problem:
        raise Refusal(400, f"{path}: Invalid JSON: {problem}", field=path) from None
    if not isinstance(arguments, dict):
        raise Refusal(400, f"{path}: Input should be a JSON object", field=path)
    return ToolCall(id=call.id, name=call.function.name, arguments=arguments)


def _template_tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": tool.function.model_dump(exclude_none=True)}
