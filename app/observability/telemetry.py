"""The facade of all signals of one process: traces, metrics and log events."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from fastapi import FastAPI
from opentelemetry.trace import SpanContext

from app import __version__
from app.core.config import Settings
from app.core.errors import ServiceError
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.observability.log_events import LineLimit, chat_fields, emit_chat, emit_outcome, never_raising, refusal_fields
from app.observability.log_output import log_output
from app.observability.metrics import Metrics
from app.observability.metrics_server import MetricsServer
from app.observability.spans import ChatSpans, commit_span, trace_ids, traceparent
from app.observability.tracing import Tracing

log = structlog.get_logger(__name__)


class Telemetry:
    """Built with the app, running while it runs. Reports return at once and never raise.

    It satisfies `Telemetry` of the chat service and the protocols of `api/`, `db/` and `quota/` for their events.
    """

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics(
            # Those that the settings use come first: only some models have a label of their own.
            models=[*sorted(settings.configured_models), *sorted({*settings.model_prices, *settings.allowed_models})],
            info={"version": __version__, "environment": settings.app_env},
            workers=settings.web_concurrency,
            clients=settings.api_keys,
            quotas=settings.quota_limits.items(),
        )
        self.tracing = Tracing(settings, on_dropped=self.metrics.worker.spans_dropped.inc)
        self._metrics_server = MetricsServer(self.metrics.registry, settings)
        self._server = _address(settings.groq_endpoint[0])
        self._database = "sqlite" if settings.embedded_database else "postgresql"
        self._chat_refusals = LineLimit("chat.refused", per_s=settings.log_refusals_per_s)
        self._key_refusals = LineLimit("key.refused", per_s=settings.log_refusals_per_s)

    def serve_running_chats(self, chats: Iterable[Any]) -> None:
        """Adds the running chats to the metrics port; they are read in a thread, and encoded as JSON."""
        self._metrics_server.running_chats = chats

    def instrument(self, app: FastAPI) -> None:
        """Adds a SERVER span to each request of the app."""
        self.tracing.instrument(app)

    async def release_metrics_port(self) -> None:
        """Stops serving metrics, so that another process may use the port."""
        await self._metrics_server.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Exports spans, serves metrics and observes the event loop until this is left."""
        async with AsyncExitStack() as stack:
            stack.callback(log_output().flush)  # uvicorn ends its process by a signal, without atexit
            await stack.enter_async_context(self._metrics_server.running())
            await stack.enter_async_context(self.tracing.exporting())
            await stack.enter_async_context(self.metrics.observing_loop())
            yield

    def chat_began(
        self, chat_id: UUID, payload: Mapping[str, Any], *, arrived: float, admitted: float, queue_s: float
    ) -> "ChatTelemetry":
        """A chat was admitted, after waiting `queue_s`. Its span starts when it was admitted."""
        spans = None
        with never_raising:
            model = self.metrics.model(str(payload["model"]))
            spans = ChatSpans(
                self.tracing.tracer,
                chat_id,
                payload,
                model=model,
                arrived=arrived,
                admitted=admitted,
                queue_s=queue_s,
                server=self._server,
            )
        return ChatTelemetry(self.metrics, spans)

    def chat_refused(
        self, error: ServiceError, *, request_id: UUID, route: str, model: str | None, client: str | None, has_key: bool
    ) -> None:
        """A request for a chat was refused before one began: it has no row and no span of its own."""
        with never_raising:
            self.metrics.chat_refused(error.outcome, model=model, client=client, has_key=has_key)
        with never_raising:
            if has_key or self._chat_refusals.allows():
                fields = refusal_fields(error, request_id=request_id, route=route) | {"client": client}
                emit_outcome("chat.refused", fields)

    def key_refused(self, error: ServiceError, *, request_id: UUID, route: str) -> None:
        """A request for anything else came without a valid key."""
        with never_raising:
            self.metrics.worker.auth_failures.inc()
        with never_raising:
            if self._key_refusals.allows():
                log.info("key.refused", **refusal_fields(error, request_id=request_id, route=route))

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        """One commit to the database; `failure` is the reason if it failed."""
        with never_raising:
            self.metrics.committed(len(records), took_s=took_s, failure=failure)
        with never_raising:
            end_ns = began_ns + round(took_s * 1e9)
            tracer, database = self.tracing.commit_tracer, self._database
            commit_span(tracer, records, database=database, start_ns=began_ns, end_ns=end_ns, failure=failure)

    def outbox_written(self, records: Sequence[ChatRecord], *, began_ns: int, failed: bool) -> None:
        """One batch of rows that was written to the outbox, or could not be."""
        with never_raising:
            if failed:
                self.metrics.rows.outbox_failures.inc()
        with never_raising:
            failure = "disk" if failed else None
            tracer, end_ns = self.tracing.commit_tracer, time.time_ns()
            commit_span(tracer, records, database=None, start_ns=began_ns, end_ns=end_ns, failure=failure)

    def row_rejected(self) -> None:
        """The database rejected a row because of its content."""
        with never_raising:
            self.metrics.rows.rejected.inc()

    def quota_store_failed(self, operation: str) -> None:
        """A client's requests or tokens could not be counted."""
        with never_raising:
            self.metrics.worker.quota_failures.labels(operation).inc()


class ChatTelemetry:
    """The signals of one chat; satisfies `ChatTelemetry` of the chat service. `spans` is None if tracing failed."""

    def __init__(self, metrics: Metrics, spans: ChatSpans | None) -> None:
        self._metrics = metrics
        self._spans = spans
        self._attempts: list[Attempt] = []

    @property
    def traceparent(self) -> str | None:
        """The chat's span, as W3C's header; None if there is none."""
        return traceparent(self._spans.context) if self._spans else None

    def attempted(self, attempt: Attempt) -> None:
        """One request to Groq is over."""
        before = self._attempts[-1] if self._attempts else None
        self._attempts.append(attempt)
        with never_raising:
            self._metrics.attempted(attempt, before=before)

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        stored_in: StoredIn | None,
        failure: ServiceError | None = None,
    ) -> None:
        """The chat has ended; its row is durable (`stored_in`) or could not be stored (`failure`), after `commit_s`."""
        context: SpanContext | None = self._spans.context if self._spans else None
        ids = trace_ids(context) if context else {}
        with never_raising:
            is_sampled = context is not None and context.trace_flags.sampled
            exemplar = {"trace_id": ids["trace_id"], "chat_id": str(record.id)} if is_sampled else None
            self._metrics.chat_finished(record, exemplar=exemplar)
        with never_raising:
            self._metrics.chat_failed(error, self._attempts)
        with never_raising:
            if self._spans:
                self._spans.end(record, self._attempts, failure or error, commit_s=commit_s, stored_in=stored_in)
        with never_raising:
            fields = chat_fields(record, self._attempts, commit_s=commit_s, stored_in=stored_in) | ids
            emit_chat(record, fields, error=error, failure=failure)


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}
