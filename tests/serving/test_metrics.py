"""What Prometheus and a collector of spans are told, and which names it goes by."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from sonneteer.recipe.sections import MonitoringSettings, PrivacySettings
from sonneteer.serving import Recorder, Tracer, Watch, tracing
from sonneteer.store import Store
from sonneteer.testing import ScriptedChat

from .test_app import FailingChat

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana-dashboard.json"


def figures(server: Any) -> dict[str, float]:
    """Every figure by its name, without labels; figures of one name are added up."""
    text = server.ask("GET", "/metrics").text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_answers_are_counted_under_the_names_that_vllm_uses(start: Any, tmp_path: Path, eventually: Any) -> None:
    recorder = Recorder(Store(tmp_path).traffic, MonitoringSettings(), PrivacySettings())
    server = start(ScriptedChat(["one two three"]), watch=Watch(recorder))
    id = server.message("Hello my friend").json["id"]
    server.message("Hi", stream=True)
    server.ask("POST", "/v1/feedback", {"message_id": id, "liked": False})
    assert eventually(lambda: figures(server)["sonneteer:exchanges_written_total"] == 2)
    told = figures(server)
    assert (told["vllm:prompt_tokens_total"], told["vllm:generation_tokens_total"]) == (4, 6)
    assert told["vllm:request_success_total"] == told["vllm:e2e_request_latency_seconds_count"] == 2
    assert told["vllm:time_to_first_token_seconds_count"] == 2
    assert (told["vllm:num_requests_running"], told["vllm:num_requests_waiting"]) == (0, 0)
    assert (told["sonneteer:feedback_total"], told["sonneteer:database_away"]) == (1, 0)


def test_failures_are_counted_and_leave_nothing_running(start: Any) -> None:
    server = start(FailingChat(ZeroDivisionError))
    assert server.message("Hello").status == 500
    told = figures(server)
    assert told["sonneteer:failures_total"] == told["vllm:request_success_total"] == 1
    assert (told["vllm:num_requests_running"], told["vllm:num_requests_waiting"]) == (0, 0)


def test_the_dashboard_asks_for_figures_that_there_are(start: Any, tmp_path: Path) -> None:
    import json
    import re

    recorder = Recorder(Store(tmp_path).traffic, MonitoringSettings(), PrivacySettings())
    server = start(ScriptedChat(["one two"]), watch=Watch(recorder))
    server.message("Hello")
    text = server.ask("GET", "/metrics").text
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in re.findall(r"\w+:\w+", target["expr"])}
    assert len(asked) > 8
    known = {family.name for family in text_string_to_metric_families(text)}
    assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked} <= known


def test_a_span_tells_of_an_answer_by_the_conventions_and_never_what_was_said(start: Any, eventually: Any) -> None:
    spans = InMemorySpanExporter()
    tracer = Tracer("http://nowhere.invalid", exporter=spans)
    server = start(ScriptedChat(["the answer"]), watch=Watch(tracer=tracer))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"model": "poet", "max_tokens": 9, "messages": [{"role": "user", "content": "the secret"}]}
    id = server.ask("POST", "/v1/messages", body, traceparent=parent).json["id"]
    tracer.close()
    (span,) = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert span.name == "chat poet"
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert attributes["gen_ai.operation.name"] == "chat"
    assert f"msg_{attributes['gen_ai.response.id']}" == id
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (2, 2)
    assert attributes["gen_ai.response.finish_reasons"] == ("end",)
    assert "secret" not in span.to_json()
    assert "answer" not in span.to_json()


def test_a_failure_is_the_spans_error(start: Any) -> None:
    spans = InMemorySpanExporter()
    tracer = Tracer("http://nowhere.invalid", exporter=spans)
    assert start(FailingChat(ZeroDivisionError), watch=Watch(tracer=tracer)).message("Hello").status == 500
    tracer.close()
    (span,) = spans.get_finished_spans()
    assert (span.status.is_ok, dict(span.attributes or {})["error.type"]) == (False, "ZeroDivisionError")


class Unreachable(SpanExporter):
    """Tries again and again, until it is told to stop."""

    def __init__(self) -> None:
        self.is_told, self.was_told = threading.Event(), False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.was_told = self.is_told.wait(60)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.is_told.set()


def test_a_collector_that_has_gone_does_not_keep_the_server_from_stopping(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "CLOSE_SECONDS", 0.05)
    collector = Unreachable()
    tracer = Tracer("http://nowhere.invalid", exporter=collector)
    assert start(ScriptedChat(["one two"]), watch=Watch(tracer=tracer)).message("Hello").status == 200
    tracer.close()
    assert collector.was_told


def test_only_collectors_with_an_address_are_accepted() -> None:
    with pytest.raises(ValueError, match="traces_to"):
        MonitoringSettings(traces_to="localhost")
