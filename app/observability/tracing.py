"""OpenTelemetry's side of a process: a provider of its own, the instrumentation of the app, and the way out.

Sampling, the exporter and its queue are set by OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`,
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_BSP_…`). Without an endpoint nothing is exported; traces have ids all the same.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.config import Settings
from app.observability.attributes import MAX_LENGTH
from app.observability.spans import SCOPE
from app.observability.trace_file import TraceFile

_NOT_TRACED = "/healthz,/readyz"
_TRACE_FILE_EVERY_MS = 200  # `make trace` comes right after a chat


log = structlog.get_logger(__name__)


class Tracing:
    """`tracer` makes spans; they leave the process while `exporting` is entered."""

    def __init__(self, settings: Settings, *, identity: Mapping[str, str], on_dropped: Callable[[int], None]) -> None:
        self._settings = settings
        self._on_dropped = on_dropped
        exported = _otlp_is_set() or settings.trace_file is not None
        self._provider = TracerProvider(
            sampler=None if exported else ALWAYS_OFF,  # None: as the environment says
            resource=Resource.create(identity).merge(OTELResourceDetector().detect()),  # what operators say wins
            shutdown_on_exit=False,  # it would wait for a collector that is away
            # Headers are as long as a client likes, and spans wait in memory. A commit links to all of its chats.
            span_limits=SpanLimits(max_span_attribute_length=MAX_LENGTH, max_links=settings.commit_max_rows),
        )
        self.tracer = cast("Tracer", self._provider.get_tracer(SCOPE.name))

    def instrument(self, app: FastAPI) -> None:
        """One SERVER span for each request; none for what is sent and received, which would be one per block."""
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # the stable names, read when it starts
        # The caller's trace is continued; its baggage is nobody's here, and would only be complained of.
        set_global_textmap(TraceContextTextMapPropagator())
        FastAPIInstrumentor.instrument_app(
            app,
            tracer_provider=self._provider,
            meter_provider=NoOpMeterProvider(),
            excluded_urls=_NOT_TRACED,
            exclude_spans=["send", "receive"],
            server_request_hook=_without_query,
        )

    @asynccontextmanager
    async def exporting(self) -> AsyncIterator[None]:
        """Sends spans from a thread of its own; leaving it sends the last ones, within a time limit."""
        try:
            processor = self._processor()
        except Exception as exc:  # noqa: BLE001 - a variable of OpenTelemetry's, or a file: no reason not to serve
            log.error("traces.not_exported", error=f"{type(exc).__name__}: {exc}")
            processor = None
        if processor is None:
            yield
            return
        self._provider.add_span_processor(processor)
        try:
            yield
        finally:
            await self._flush()

    def _processor(self) -> BatchSpanProcessor | None:
        if _otlp_is_set():
            from app.observability.otlp import Exporter  # noqa: PLC0415 - slow to import

            return _Batches(Exporter(meter_provider=NoOpMeterProvider()), self._on_dropped)
        if self._settings.trace_file is not None:
            return _Batches(TraceFile(self._settings.trace_file), self._on_dropped, every_ms=_TRACE_FILE_EVERY_MS)
        return None

    async def _flush(self) -> None:
        """Off the event loop, in a thread that may be left behind: a collector may take its time."""
        loop, flushed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(flushed.set)

        threading.Thread(target=shut_down, name="last spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.trace_flush_timeout_s):
                await flushed.wait()


class _Batches(BatchSpanProcessor):
    """Counts the spans that its full queue pushes out; the SDK only logs them."""

    def __init__(
        self, exporter: SpanExporter, on_dropped: Callable[[int], None], every_ms: float | None = None
    ) -> None:
        counted = _Counted(exporter, on_dropped)
        super().__init__(counted, schedule_delay_millis=every_ms, meter_provider=NoOpMeterProvider())
        self._on_dropped = on_dropped

    def on_end(self, span: ReadableSpan) -> None:
        queue = getattr(self._batch_processor, "_queue", ())  # private: without it, spans are sent and not counted
        if len(queue) == getattr(queue, "maxlen", None):
            self._on_dropped(1)
        super().on_end(span)


class _Counted(SpanExporter):
    """Counts the spans that the collector did not take."""

    def __init__(self, exporter: SpanExporter, on_dropped: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._on_dropped = on_dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._on_dropped(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _without_query(span: Span, _: dict[str, Any]) -> None:
    """Some put keys there."""
    if span.is_recording():
        span.set_attribute("url.query", "")


def _otlp_is_set() -> bool:
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() == "none":
        return False
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))
