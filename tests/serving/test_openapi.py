"""The server keeps to its own description: whatever is asked, the answer is one that the document tells of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sonneteer.recipe.sections import ServingSettings
from sonneteer.serving import Keys, batch_work, create_key, openapi
from sonneteer.serving.openapi import JSON, OPERATIONS
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

EXAMPLES = 10
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def server(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = Store(tmp_path_factory.mktemp("workspace"))
    # Every name is a model's, so that requests are answered.
    return start(ScriptedChat(["Hello there"]), ServingSettings(stand_in_for=("",)), shelf=store.shelf)


@pytest.fixture(scope="module")
def schema(server: Any) -> Any:
    return schemathesis.openapi.from_dict(server.ask("GET", "/openapi.json").json)


def test_the_document_tells_of_every_status_with_which_the_server_refuses() -> None:
    sources = [path.read_text() for path in Path(openapi.__file__).parent.glob("*.py")]
    told = {int(status) for text in sources for status in re.findall(r"Refusal\(\s*(\d{3})\b", text)}
    assert {400, 408, 504} <= told <= set(openapi.COMMON)


@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS.values()])
def test_whatever_is_asked_the_answer_is_one_of_the_document(server: Any, schema: Any, name: str) -> None:
    operation = schema.find_operation_by_id(name)

    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def asks(case: Any) -> None:
        case.call_and_validate(base_url=server.url, checks=CHECKS)

    asks()


def test_what_clients_have_left_is_told_as_the_document_says(
    server: Any, schema: Any, eventually: Callable[[Callable[[], bool]], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_work, "LOOK_SECONDS", 0.02)

    def asks(name: str, **more: Any) -> Any:
        case = schema.find_operation_by_id(name).Case(**more)
        answer = case.call_and_validate(base_url=server.url, checks=CHECKS[:-1])
        assert answer.status_code == 200, answer.text
        return answer

    said = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    requests = [{"custom_id": "a", "params": said}]
    batch = {"id": asks("createMessageBatch", body={"requests": requests}, media_type=JSON).json()["id"]}
    assert eventually(
        lambda: asks("retrieveMessageBatch", path_parameters=batch).json()["processing_status"] == "ended"
    )
    for name in ("messageBatchResults", "cancelMessageBatch", "deleteMessageBatch"):
        asks(name, path_parameters=batch)
    line = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"model": "poet", "prompt": "Once"}}
    upload = {"file": json.dumps(line).encode(), "purpose": "batch"}
    file = {"id": asks("createFile", body=upload, media_type="multipart/form-data").json()["id"]}
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/completions", "completion_window": "24h"}
    batch = {"id": asks("createBatch", body=wanted, media_type=JSON).json()["id"]}
    assert eventually(lambda: asks("retrieveBatch", path_parameters=batch).json()["status"] == "completed")
    for name in ("listMessageBatches", "listBatches", "listFiles"):
        asks(name)
    for name in ("retrieveFile", "fileContent", "deleteFile"):
        asks(name, path_parameters=file)
    for headers in ({}, {"anthropic-version": "2026-10-21"}):
        asks("listModels", headers=headers)
        asks("retrieveModel", path_parameters={"id": "poet"}, headers=headers)


def test_the_document_says_who_may_ask(start: Any, tmp_path: Path, server: Any) -> None:
    assert server.ask("GET", "/openapi.json").json["security"] == []
    key = create_key(Store(tmp_path).keys, "tests")
    guarded = start(ScriptedChat([""]), keys=Keys.of(Store(tmp_path).keys))
    assert guarded.ask("GET", "/openapi.json").status == 401
    told = guarded.ask("GET", "/openapi.json", x_api_key=key).json
    assert told["security"] == [{"bearer": []}, {"header": []}]
    assert told["paths"]["/health"]["get"]["security"] == []
    assert "/v1/files" not in told["paths"]  # this server keeps none


def test_every_path_is_described(server: Any) -> None:
    told = server.ask("GET", "/openapi.json").json["paths"]
    assert {(method, path) for path, methods in told.items() for method in methods} == set(OPERATIONS)
