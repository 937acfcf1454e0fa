"""The telemetry of a process without a server: what is reported to it can be read as spans and metrics."""

import time
from typing import Any
from uuid import uuid4

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.core.config import Settings
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.observability.telemetry import Telemetry
from tests.support.records import record

PAYLOAD = {"model": "m", "stream": True, "temperature": 0.5, "max_tokens": 9, "messages": ["a secret prompt"]}


class Harness:
    """A chat is a child of `request` where that is the current span."""

    def __init__(self) -> None:
        settings = Settings(
            _env_file=None, groq_api_key="key", groq_default_model="m", groq_model_aliases={}, trace_file="sampled"
        )
        self.telemetry = Telemetry(settings)
        self._exporter = InMemorySpanExporter()
        self.telemetry.tracing.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.request = self.telemetry.tracing.tracer.start_span("POST")

    def chat(
        self,
        *attempts: Attempt,
        error: Any = None,
        lost: Any = None,
        kept: StoredIn | None = StoredIn.DATABASE,
        queue_s: float = 0.0,
        **facts: Any,
    ) -> ChatRecord:
        """Reports a chat from its admission to its end."""
        now = time.monotonic()
        chat = self.telemetry.chat_began(uuid4(), PAYLOAD, arrived=now, admitted=now, queue_s=queue_s)
        for attempt in attempts:
            chat.attempted(attempt)
        finished = record(model_name="m", traceparent=chat.traceparent, **facts)
        chat.finished(finished, error, commit_s=0.004, stored_in=None if lost else kept, failure=lost)
        return finished

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def value(self, name: str, **labels: str) -> float:
        value = self.telemetry.metrics.registry.get_sample_value(name, labels)
        assert value is not None, f"no {name}{labels}"
        return value
