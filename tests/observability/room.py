"""A probe, and what becomes of the facts that it is told."""

import time
from typing import Any, cast
from uuid import uuid4

from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.core.attempt import Attempt
from app.core.record import ChatRecord, Kept
from app.observability.metrics import Metrics
from app.observability.probe import Probe
from tests.support.records import record

ASKED = {"model": "m", "stream": True, "temperature": 0.5, "max_tokens": 9, "messages": ["a secret prompt"]}


class Room:
    """A probe, and what becomes of the facts that it is told. A chat is below `request` if that is current."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.metrics = Metrics(models=["m"], info={"version": "1"}, workers=1)
        server = {"server.address": "api.groq.com", "server.port": 443}
        tracer = cast("Tracer", provider.get_tracer("test"))
        self.probe = Probe(self.metrics, tracer, server=server, database="sqlite", refused_lines_per_s=10)
        self.request = tracer.start_span("POST")

    def chat(
        self,
        *attempts: Attempt,
        error: Any = None,
        lost: Any = None,
        kept: Kept | None = Kept.DATABASE,
        queue_s: float = 0.0,
        **facts: Any,
    ) -> ChatRecord:
        watch = self.probe.chat_began(uuid4(), ASKED, arrived=time.monotonic(), queue_s=queue_s)
        for attempt in attempts:
            watch.attempted(attempt)
        told = record(model_name="m", traceparent=watch.traceparent, **facts)
        kept = None if lost else kept
        watch.finished(told, error, commit_s=0.004, kept=kept, lost=lost)
        return told

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def value(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, f"no {name}{labels}"
        return value
