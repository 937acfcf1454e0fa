"""A collector that hangs, refuses or cannot be reached costs spans, which are counted, and never a chat."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

from app.observability.trace_file import TraceFile
from app.observability.tracing import _CountingProcessor, _has_otlp_endpoint
from tests.support.otlp import Collector, collecting
from tests.support.ports import free_port
from tests.support.scrape import scrape
from tests.support.service import SimulatedGroq, service_before

METRICS = {"METRICS_PORT": "0"}
SMALL = METRICS | {
    "OTEL_BSP_MAX_QUEUE_SIZE": "8",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    "OTEL_BSP_SCHEDULE_DELAY": "20",
}


@pytest.mark.parametrize(("exporter", "exports"), [(None, True), ("otlp", True), ("none", False)])
def test_spans_go_to_an_endpoint_unless_the_exporter_is_none(
    exporter: str | None, monkeypatch: pytest.MonkeyPatch, *, exports: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    if exporter:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    assert _has_otlp_endpoint() is exports


def test_full_disk_costs_spans_only() -> None:
    """They are counted as not exported; neither a chat nor the end of the process fails."""
    file = TraceFile(Path("/dev/full"))
    with TracerProvider().get_tracer("test").start_as_current_span("chat") as span:
        assert isinstance(span, ReadableSpan)
    assert file.export([span]) is SpanExportResult.FAILURE
    file.shutdown()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def test_hanging_collector_blocks_neither_chats_nor_the_exit(
    tmp_path: Path, groq: SimulatedGroq, collector: Collector
) -> None:
    collector.delay_s = 60
    env = {**SMALL, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TRACE_FLUSH_TIMEOUT_S": "0.5"}
    with service_before(groq, tmp_path, env) as chats:
        assert all(chats.chat().done for _ in range(10))
        assert collector.spans == []
        # Each chat has four spans; those that fit neither the queue nor the batch in flight are counted.
        assert chats.metric("otel_spans_dropped_total") >= 40 - 8 - 4
        began = time.monotonic()
        assert chats.program.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 20  # the SDK would wait for 30 s


@pytest.mark.parametrize("status", [400, 500])
def test_spans_that_a_collector_rejects_are_counted(
    tmp_path: Path, groq: SimulatedGroq, collector: Collector, status: int
) -> None:
    collector.status = status
    env = METRICS | {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with service_before(groq, tmp_path, env) as chats:
        assert chats.chat().done
        assert chats.program.wait_for("Failed to export")
        assert chats.metric("otel_spans_dropped_total") >= 1


def test_unreachable_collector_is_logged_a_few_times_only(tmp_path: Path, groq: SimulatedGroq) -> None:
    env = {**SMALL, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "TRACE_FLUSH_TIMEOUT_S": "0.5"}
    with service_before(groq, tmp_path, env) as chats:
        assert all(chats.chat().done for _ in range(20))
        assert chats.metric("otel_spans_dropped_total") > 0
    logged = [line for line in chats.program.lines if "opentelemetry" in line]
    assert len(logged) <= 5


def test_last_spans_are_exported_at_shutdown(tmp_path: Path, groq: SimulatedGroq, collector: Collector) -> None:
    env = METRICS | {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with service_before(groq, tmp_path, env) as chats:
        reply = chats.chat()
        assert collector.spans == []
    # On a busy machine also `chat.admission`.
    assert {span.name.partition(" ")[0] for span in collector.spans} >= {
        "POST",
        "chat",
        "groq.attempt",
        "chat_logs.commit",
    }
    assert reply.id in [span.attributes.get("chat.id") for span in collector.spans]


def test_unsampled_chat_has_a_trace_id_but_no_span_and_no_exemplar(
    tmp_path: Path, groq: SimulatedGroq, collector: Collector
) -> None:
    """OpenTelemetry's variables are read from `.env` too."""
    (tmp_path / ".env").write_text(f"OTEL_TRACES_SAMPLER=always_off\nOTEL_EXPORTER_OTLP_ENDPOINT={collector.url}\n")
    with service_before(groq, tmp_path, METRICS) as chats:
        reply = chats.chat()
        assert reply.done
        trace_id = chats.row(reply.id)["trace_id"]
        assert trace_id == reply.headers["traceresponse"].split("-")[1]
        assert trace_id == chats.finished_line(reply.id)["trace_id"]
        assert not [sample for sample in scrape(chats.http, chats.own_metrics_port) if sample.exemplar]
    assert collector.spans == []


def test_without_a_collector_traces_are_in_a_file(tmp_path: Path, groq: SimulatedGroq) -> None:
    with service_before(groq, tmp_path, METRICS) as chats:
        reply = chats.chat()
    assert reply.id in (tmp_path / "data" / "traces.jsonl").read_text()


def test_invalid_variable_of_opentelemetry_does_not_stop_the_service(
    tmp_path: Path, groq: SimulatedGroq, collector: Collector
) -> None:
    env = METRICS | {"OTEL_BSP_MAX_QUEUE_SIZE": "many", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with service_before(groq, tmp_path, env) as chats:
        assert chats.chat().done
        assert chats.program.wait_for("trace_export.failed")


def test_spans_that_are_recorded_but_not_sampled_do_not_count_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler may record spans for other processors; none of them waits for the export."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "512")
    dropped: list[int] = []
    provider = TracerProvider(sampler=StaticSampler(Decision.RECORD_ONLY), shutdown_on_exit=False)
    provider.add_span_processor(_CountingProcessor(InMemorySpanExporter(), dropped.append))
    for _ in range(600):
        provider.get_tracer("test").start_span("recorded").end()
    provider.shutdown()
    assert dropped == []
