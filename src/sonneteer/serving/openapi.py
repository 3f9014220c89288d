"""The server's description of itself, as an OpenAPI 3.1 document: what it takes, all it may answer, who may ask.

What requests look like comes from the records that read them; what the answers look like stands in `answers.yaml`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from ruamel.yaml import YAML

from sonneteer.serving import anthropic, anthropic_batches, openai, openai_batches, openai_text
from sonneteer.serving.feedback import FeedbackRequest
from sonneteer.serving.listing import AnthropicPage, BatchPage, FilePage
from sonneteer.serving.refusals import OVERLOADED
from sonneteer.serving.wire import Body

PLACE = "#/components/schemas/"
Speaks = Literal["anthropic", "openai", "either"]
JSON, JSONL, EVENTS, TEXT, BYTES = (
    "application/json",
    "application/x-jsonl",
    "text/event-stream",
    "text/plain",
    "application/octet-stream",
)
COMMON = {
    400: "The request is wrong; the message says where.",
    401: "There is no such key.",
    403: "The key's role may not do this, or the server has no keys and this machine is not the one that asks.",
    404: "There is no such model, batch, file or message.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    429: "The key has used up its minute. `retry-after` tells when to come back.",
    500: "The server failed.",
    503: "Too much is waiting, or the server is stopping. `retry-after` tells when to come back.",
    504: "The answer took too long.",
    OVERLOADED: "Too much is waiting, or the server is stopping. `retry-after` tells when to come back.",
}
"""What any operation may answer instead; 503 is said to OpenAI's clients, 529 to Anthropic's."""


class Operation(NamedTuple):
    """One method of one path."""

    name: str
    summary: str
    speaks: Speaks
    answer: str | None = None
    """The answer's schema; None for bytes or text."""
    takes: type[BaseModel] | None = None
    """The body of a POST, or the query of a GET."""
    kind: str = JSON
    stream: str | None = None
    """The schema of the answer's other form, for `stream: true`."""


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/messages"): Operation(
        "createMessage",
        "Answer a conversation",
        "anthropic",
        "Message",
        anthropic.MessagesRequest,
        JSON,
        "MessageStream",
    ),
    ("post", "/v1/messages/count_tokens"): Operation(
        "countTokens", "How many tokens a request has", "anthropic", "TokenCount", anthropic.CountRequest
    ),
    ("post", "/v1/messages/batches"): Operation(
        "createMessageBatch", "Leave many requests", "anthropic", "MessageBatch", anthropic_batches.BatchRequest
    ),
    ("get", "/v1/messages/batches"): Operation(
        "listMessageBatches", "Batches, the newest first", "anthropic", "MessageBatchPage", AnthropicPage
    ),
    ("get", "/v1/messages/batches/{id}"): Operation(
        "retrieveMessageBatch", "How far a batch is", "anthropic", "MessageBatch"
    ),
    ("delete", "/v1/messages/batches/{id}"): Operation(
        "deleteMessageBatch", "Forget a batch that has ended", "anthropic", "DeletedMessageBatch"
    ),
    ("post", "/v1/messages/batches/{id}/cancel"): Operation(
        "cancelMessageBatch", "Ask nothing more of a batch", "anthropic", "MessageBatch"
    ),
    ("get", "/v1/messages/batches/{id}/results"): Operation(
        "messageBatchResults", "What became of each request", "anthropic", "MessageBatchResults", None, JSONL
    ),
    ("post", "/v1/chat/completions"): Operation(
        "createCompletion",
        "Answer a conversation",
        "openai",
        "ChatCompletion",
        openai.ChatRequest,
        JSON,
        "CompletionStream",
    ),
    ("post", "/v1/completions"): Operation(
        "createText",
        "Go on with plain text",
        "openai",
        "TextCompletion",
        openai_text.TextRequest,
        JSON,
        "CompletionStream",
    ),
    ("get", "/v1/models"): Operation("listModels", "What is served", "either", "Models", AnthropicPage),
    ("get", "/v1/models/{id}"): Operation("retrieveModel", "One model", "either", "Model"),
    ("post", "/v1/files"): Operation("createFile", "Leave a file", "openai", "File"),
    ("get", "/v1/files"): Operation("listFiles", "Files", "openai", "FilePage", FilePage),
    ("get", "/v1/files/{id}"): Operation("retrieveFile", "What is known of a file", "openai", "File"),
    ("delete", "/v1/files/{id}"): Operation("deleteFile", "Forget a file", "openai", "DeletedFile"),
    ("get", "/v1/files/{id}/content"): Operation("fileContent", "The file itself", "openai", kind=BYTES),
    ("post", "/v1/batches"): Operation(
        "createBatch", "Leave a file of many requests", "openai", "Batch", openai_batches.BatchRequest
    ),
    ("get", "/v1/batches"): Operation("listBatches", "Batches, the newest first", "openai", "BatchPage", BatchPage),
    ("get", "/v1/batches/{id}"): Operation("retrieveBatch", "How far a batch is", "openai", "Batch"),
    ("post", "/v1/batches/{id}/cancel"): Operation("cancelBatch", "Ask nothing more of a batch", "openai", "Batch"),
    ("post", "/v1/feedback"): Operation(
        "giveFeedback", "Say what you think of an answer", "either", "FeedbackKept", FeedbackRequest
    ),
    ("get", "/metrics"): Operation("metrics", "Figures for Prometheus; for admins", "either", kind=TEXT),
    ("get", "/health"): Operation("health", "Whether the server is ready", "either", "Health"),
}


def document(paths: set[str], has_keys: bool) -> Body:
    """The document of a server that has these paths, and keys or none."""
    there: dict[str, Body] = {}
    for (method, path), operation in OPERATIONS.items():
        if path in paths:
            there.setdefault(path, {})[method] = _operation(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sonneteer", "version": version("sonneteer"), "description": DESCRIPTION},
        "paths": there,
        "security": [{"bearer": []}, {"header": []}] if has_keys else [],
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


DESCRIPTION = (
    "Answers in the shapes of Anthropic's and OpenAI's APIs. Where both have a path, and for errors, a request with "
    "the header `anthropic-version` or `x-api-key` gets Anthropic's shape. Fields that are not named here are ignored."
)


def _operation(method: str, path: str, operation: Operation) -> Body:
    told: Body = {"operationId": operation.name, "summary": operation.summary, "responses": _responses(operation)}
    parameters = (
        [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}] if "{id}" in path else []
    )
    if method == "get" and operation.takes is not None:
        parameters += _query(operation.takes)
    if parameters:
        told["parameters"] = parameters
    if path == "/v1/files" and method == "post":
        told["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _ref("FileUpload")}}}
    elif method == "post" and operation.takes is not None:
        schema = _ref(_request_names()[operation.takes])
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    if path == "/health":
        told["security"] = []
    return told


def _responses(operation: Operation) -> Body:
    schema = _ref(operation.answer) if operation.answer else {"type": "string"}
    content = {operation.kind: {"schema": schema}}
    if operation.stream:
        content[EVENTS] = {"schema": _ref(operation.stream)}
    shapes = [_ref("AnthropicError"), _ref("OpenAIError")]
    shape = shapes[0] if operation.speaks == "anthropic" else {"anyOf": shapes}
    told: Body = {"200": {"description": operation.summary, "headers": HEADERS, "content": content}}
    for status, why in COMMON.items():
        told[str(status)] = {"description": why, "headers": HEADERS, "content": {JSON: {"schema": shape}}}
    return told


HEADERS = {"request-id": {"schema": {"type": "string"}}, "x-request-id": {"schema": {"type": "string"}}}


def _query(kind: type[BaseModel]) -> list[Body]:
    schema = kind.model_json_schema()
    return [{"name": name, "in": "query", "schema": told} for name, told in schema["properties"].items()]


def _ref(name: str) -> Body:
    return {"$ref": PLACE + name}


@cache
def _requests() -> tuple[dict[type[BaseModel], str], Body]:
    """The schemas of all bodies, and which is whose."""
    kinds = [each.takes for (method, _), each in OPERATIONS.items() if method == "post" and each.takes is not None]
    found, shared = models_json_schema([(kind, "validation") for kind in kinds], ref_template=PLACE + "{model}")
    names = {kind: _short(found[kind, "validation"]["$ref"].removeprefix(PLACE)) for kind in kinds}
    return names, json.loads(_short(json.dumps(shared["$defs"])))


def _short(text: str) -> str:
    """Names that both APIs have stand with their API's, not with their module's."""
    return re.sub(r"sonneteer__serving__(anthropic|openai)\w*?__", lambda found: API_NAMES[found[1]], text)


API_NAMES = {"anthropic": "Anthropic", "openai": "OpenAI"}


def _request_names() -> dict[type[BaseModel], str]:
    return _requests()[0]


@cache
def _schemas() -> Body:
    answers = YAML(typ="safe").load(files("sonneteer.serving").joinpath("answers.yaml").read_text("utf-8"))
    return {**_requests()[1], **{name: _whole(schema) for name, schema in answers.items()}}


def _whole(schema: Any) -> Any:
    """A schema with what `answers.yaml` leaves unsaid: objects have all their properties, and no others."""
    if isinstance(schema, list):
        return [_whole(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: _whole(value) for key, value in schema.items() if key != "optional"}
    if isinstance(schema.get("properties"), dict) and "required" not in schema:
        optional = schema.get("optional", ())
        required = [name for name in schema["properties"] if name not in optional]
        told |= {"type": "object", "required": required, "additionalProperties": False}
    return told
