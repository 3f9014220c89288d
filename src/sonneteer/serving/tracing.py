"""OpenTelemetry: a span for each answer by the conventions for generative AI. What was said is not in it.

https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-spans.md (status: development).
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sonneteer.errors import ExtraError
from sonneteer.records import Exchange

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

CLOSE_SECONDS = 2.0  # for what is left; a collector that has gone must not keep the server from stopping


class Tracer:
    """Sends spans to a collector. Nobody waits for it."""

    def __init__(self, endpoint: str, exporter: SpanExporter | None = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as problem:
            raise ExtraError("monitoring.traces_to needs OpenTelemetry: pip install 'sonneteer[otel]'.") from problem
        self._trace = trace
        self._provider = TracerProvider(resource=Resource({"service.name": "sonneteer"}), shutdown_on_exit=False)
        self._exporter = exporter or _http_exporter(endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("sonneteer")

    def note(self, exchange: Exchange, traceparent: str = "") -> None:
        """A span of an answer that has ended, below the client's own span if it told of one."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        begun = _nanoseconds(exchange.created_at)
        span = self._tracer.start_span(
            f"chat {exchange.name}",
            context=TraceContextTextMapPropagator().extract({"traceparent": traceparent}),
            kind=self._trace.SpanKind.SERVER,
            start_time=begun,
            attributes=attributes_of(exchange),
        )
        if exchange.problem:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(begun + round(exchange.seconds * 1e9))

    def close(self) -> None:
        """Send what is left, as far as the collector takes it soon."""
        patience = threading.Timer(CLOSE_SECONDS, self._exporter.shutdown)
        patience.start()
        self._provider.shutdown()
        patience.cancel()


def attributes_of(exchange: Exchange) -> dict[str, Any]:
    """What the conventions know of an answer."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sonneteer",
        "gen_ai.request.model": exchange.name,
        "gen_ai.response.model": exchange.model_id,
        "gen_ai.response.id": exchange.id,
        "gen_ai.conversation.id": exchange.conversation,
        "gen_ai.usage.input_tokens": exchange.prompt_tokens,
        "gen_ai.usage.output_tokens": exchange.answer_tokens,
        "sonneteer.arm": exchange.arm,
    }
    if exchange.problem:
        return told | {"error.type": exchange.problem}
    told["gen_ai.response.finish_reasons"] = [exchange.stop_reason]
    if exchange.first_token_seconds is not None:
        told["gen_ai.response.time_to_first_chunk"] = exchange.first_token_seconds
    return told


def _http_exporter(endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint)


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e9)
