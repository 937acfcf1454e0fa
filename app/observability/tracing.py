"""OpenTelemetry in a process: a provider, the instrumentation of the app, and the export of spans.

Sampling, the exporter and its queue are set by OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`,
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_BSP_…`). Without an endpoint or a trace file nothing is exported; requests still
have trace ids.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.core.background import run_in_daemon
from app.core.config import Settings
from app.observability.conventions import service_name
from app.observability.trace_file import TraceFile

_EXCLUDED_URLS = "/healthz,/readyz"
_MAX_ATTRIBUTE_LENGTH = 256
"""Longer texts of clients and Groq are cut, because spans wait in memory."""
_TRACE_FILE_DELAY_MS = 200
"""The longest time until a span is in the file: `make trace` is often called right after a chat."""

log = structlog.get_logger(__name__)


class Tracing:
    """`tracer` makes spans; they are exported while `exporting` is entered. `on_dropped` is called with each loss.

    `commit_tracer` makes those of commits, in a service of their own: a search for the service finds its requests only.
    """

    def __init__(self, settings: Settings, *, on_dropped: Callable[[int], None]) -> None:
        self._settings = settings
        self._on_dropped = on_dropped
        exported = _has_otlp_endpoint() or settings.trace_file is not None
        resource = _resource(settings)
        of_commits = resource.merge(Resource({"service.name": str(resource.attributes["service.name"]) + "-commits"}))
        self._provider, self._commit_provider = (
            TracerProvider(
                sampler=None if exported else ALWAYS_OFF,  # None: the one of OTEL_TRACES_SAMPLER
                resource=each,
                shutdown_on_exit=False,  # it would wait for a collector that does not answer
                # A commit has a link to each of its chats.
                span_limits=SpanLimits(
                    max_span_attribute_length=_MAX_ATTRIBUTE_LENGTH, max_links=settings.commit_max_rows
                ),
            )
            for each in (resource, of_commits)
        )
        self.tracer = self._provider.get_tracer("app")
        self.commit_tracer = self._commit_provider.get_tracer("app")

    def instrument(self, app: FastAPI) -> None:
        """Adds one SERVER span to each request, and none for each message that is sent or received."""
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # stable names; read by the instrumentation
        set_global_textmap(TraceContextTextMapPropagator())  # a client's trace is continued, its baggage is not read
        FastAPIInstrumentor.instrument_app(
            app,
            tracer_provider=self._provider,
            meter_provider=NoOpMeterProvider(),
            excluded_urls=_EXCLUDED_URLS,
            exclude_spans=["send", "receive"],
            server_request_hook=_correct,
        )

    def add_span_processor(self, processor: SpanProcessor) -> None:
        """Hands all spans to the processor when they end."""
        self._provider.add_span_processor(processor)
        self._commit_provider.add_span_processor(processor)

    @asynccontextmanager
    async def exporting(self) -> AsyncIterator[None]:
        """Exports spans in a thread until this is left, which exports the last ones within TRACE_FLUSH_TIMEOUT_S."""
        try:
            processor = self._processor()
        except Exception as exc:  # noqa: BLE001 - a bad variable or file of traces must not stop the service
            log.error("trace_export.failed", error=f"{type(exc).__name__}: {exc}")
            processor = None
        if processor is None:
            yield
            return
        self.add_span_processor(processor)
        try:
            yield
        finally:
            timeout_s = self._settings.trace_flush_timeout_s
            # This ends the processor, which the provider of commits shares.
            await run_in_daemon(self._provider.shutdown, name="last spans", timeout_s=timeout_s)

    def _processor(self) -> BatchSpanProcessor | None:
        if _has_otlp_endpoint():
            # Slow to import, so only where it is used.
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

            return _CountingProcessor(OTLPSpanExporter(meter_provider=NoOpMeterProvider()), self._on_dropped)
        if self._settings.trace_file is not None:
            return _CountingProcessor(TraceFile(self._settings.trace_file), self._on_dropped, _TRACE_FILE_DELAY_MS)
        return None


class _CountingExporter(SpanExporter):
    """Counts the spans of batches that were not exported. `taken` are all that were handed over."""

    def __init__(self, exporter: SpanExporter, on_dropped: Callable[[int], None]) -> None:
        self.taken = 0
        self._exporter = exporter
        self._on_dropped = on_dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._on_dropped(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _CountingProcessor(BatchSpanProcessor):
    """Counts the spans that a full queue loses, too; the SDK only logs them."""

    def __init__(
        self, exporter: SpanExporter, on_dropped: Callable[[int], None], delay_ms: float | None = None
    ) -> None:
        self._counting = _CountingExporter(exporter, on_dropped)
        self._on_dropped = on_dropped
        self._max_queued = int(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE, "2048"))
        self._queued = 0
        super().__init__(self._counting, self._max_queued, delay_ms, meter_provider=NoOpMeterProvider())

    def on_end(self, span: ReadableSpan) -> None:
        if span.context.trace_flags.sampled:  # the SDK queues no others, which a sampler may record all the same
            if self._queued - self._counting.taken < self._max_queued:
                self._queued += 1
            else:
                self._on_dropped(1)  # it takes the place of the oldest one
        super().on_end(span)


def _correct(span: Span, scope: dict[str, Any]) -> None:
    """Removes the query, into which some clients put keys, and the port from the address; `server.port` has it."""
    if scope.get("query_string"):
        span.set_attribute("url.query", "")
    if server := scope.get("server"):
        span.set_attribute("server.address", server[0])


def _has_otlp_endpoint() -> bool:
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() == "none":
        return False
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))


def _resource(settings: Settings) -> Resource:
    """The identity of the worker; OTEL_RESOURCE_ATTRIBUTES wins."""
    own = {
        "service.name": service_name(),
        "service.version": __version__,
        "service.instance.id": f"{os.uname().nodename}/{settings.worker_slot}",
        "deployment.environment.name": settings.app_env,
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())
