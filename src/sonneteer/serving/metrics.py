"""Figures for Prometheus: vLLM's names where it has one, so that its dashboards work here, and ours for the rest."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from sonneteer.records import Exchange, Feedback
from sonneteer.serving.recorder import Recorder

FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640)
WHOLE = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
EACH = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
FINISHED = {"end": "stop", "stop_sequence": "stop", "tool_use": "stop", "length": "length"}
"""Our stop reasons in vLLM's words."""


class Metrics:
    """Counts what the server does. `text()` is what a scrape gets."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._registry = CollectorRegistry()
        self._prompt_tokens = self._counter("vllm:prompt_tokens", "Tokens read.")
        self._answer_tokens = self._counter("vllm:generation_tokens", "Tokens written.")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests whose answer has not begun.")
        self._running = self._gauge("vllm:num_requests_running", "Requests that are being answered.")
        self._prompt = self._histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", TOKENS)
        self._answer = self._histogram("vllm:request_generation_tokens", "Tokens of an answer.", TOKENS)
        self._first = self._histogram("vllm:time_to_first_token_seconds", "Until the answer begins.", FIRST)
        self._whole = self._histogram("vllm:e2e_request_latency_seconds", "Until the answer is whole.", WHOLE)
        self._each = self._histogram(
            "vllm:request_time_per_output_token_seconds", "For each token but the first.", EACH
        )
        self._finished = self._counter("vllm:request_success", "Answers, by why they ended.", "finished_reason")
        self._versions = self._counter("sonneteer:answers", "Answers by version and arm.", "model_id", "arm")
        self._failures = self._counter("sonneteer:failures", "Answers that failed.", "model_id", "kind")
        self._feedback = self._counter("sonneteer:feedback", "What people said.", "opinion")
        if recorder is not None:
            self._registry.register(_Written(recorder))

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, ["model_name", *labels], registry=self._registry)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(name, says, ["model_name"], registry=self._registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, says, ["model_name"], registry=self._registry, buckets=buckets)

    def waiting(self, name: str) -> None:
        """A request waits for its answer to begin."""
        self._waiting.labels(name).inc()
        self._running.labels(name).inc(0)  # shown as 0, and not left out, before the first answer begins

    def begun(self, name: str) -> None:
        """Its answer has begun."""
        self._waiting.labels(name).dec()
        self._running.labels(name).inc()

    def over(self, name: str, has_begun: bool) -> None:
        """It has ended, one way or another."""
        (self._running if has_begun else self._waiting).labels(name).dec()

    def note(self, exchange: Exchange) -> None:
        """Count an answer, or a failure."""
        name = exchange.name
        if exchange.problem:
            self._failures.labels(name, exchange.model_id, exchange.problem).inc()
            self._finished.labels(name, "error").inc()
            return
        self._versions.labels(name, exchange.model_id, exchange.arm).inc()
        self._finished.labels(name, FINISHED.get(exchange.stop_reason, "stop")).inc()
        self._prompt_tokens.labels(name).inc(exchange.prompt_tokens)
        self._answer_tokens.labels(name).inc(exchange.answer_tokens)
        self._prompt.labels(name).observe(exchange.prompt_tokens)
        self._answer.labels(name).observe(exchange.answer_tokens)
        self._whole.labels(name).observe(exchange.seconds)
        if exchange.first_token_seconds is not None:
            self._first.labels(name).observe(exchange.first_token_seconds)
            if exchange.answer_tokens > 1:
                rest = exchange.seconds - exchange.first_token_seconds
                self._each.labels(name).observe(rest / (exchange.answer_tokens - 1))

    def note_feedback(self, feedback: Feedback) -> None:
        """Count what somebody said."""
        opinion = {True: "good", False: "bad", None: "other"}[feedback.is_good]
        self._feedback.labels(feedback.name, opinion).inc()

    def text(self) -> bytes:
        """All figures in Prometheus' own format."""
        return generate_latest(self._registry)


class _Written:
    """What became of the exchanges, asked when somebody wants to know."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        tally = self._recorder.tally()
        yield CounterMetricFamily("sonneteer:exchanges_written", "Exchanges written down.", tally.written)
        yield CounterMetricFamily("sonneteer:exchanges_lost", "Exchanges that nobody could write down.", tally.lost)
        yield GaugeMetricFamily("sonneteer:exchanges_waiting", "Exchanges that wait for the database.", tally.waiting)
        yield GaugeMetricFamily(
            "sonneteer:database_away", "1 while nothing can be written.", float(bool(tally.trouble))
        )
