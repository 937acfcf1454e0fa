"""The narrow door to all signals: facts go in, and whatever becomes of them, nothing comes back."""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ParamSpec, cast
from uuid import UUID

import structlog
from opentelemetry.trace import Tracer

from app.core.attempt import Attempt
from app.core.errors import ServiceError
from app.core.record import ChatRecord
from app.observability import lines
from app.observability.labels import OTHER_MODEL
from app.observability.metrics import Metrics
from app.observability.spans import ChatSpan, commit_span
from app.observability.trace_context import exemplar, ids, traceparent

log = structlog.get_logger("app.chat")

_Facts = ParamSpec("_Facts")


def _unfailing(tell: Callable[_Facts, None]) -> Callable[_Facts, None]:
    """A signal that fails costs a line in the log, and never a chat."""

    @functools.wraps(tell)
    def told(*args: _Facts.args, **kwargs: _Facts.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception:
            with suppress(Exception):
                log.exception("probe.failed")

    return told


class Probe:
    """Satisfies `chat.ports.Probe` and `db.writer.Probe`. `server` and `database` are as on spans."""

    def __init__(self, metrics: Metrics, tracer: Tracer, *, server: Mapping[str, Any], database: str) -> None:
        self._metrics = metrics
        self._tracer = tracer
        self._server = server
        self._database = database

    def chat_began(self, chat_id: UUID, asked: Mapping[str, Any], *, arrived: float, queue_s: float) -> "ChatWatch":
        """A chat was let in. Its span begins here."""
        model, span = OTHER_MODEL, None
        try:
            model = self._metrics.model(str(asked["model"]))
            span = ChatSpan(
                self._tracer, chat_id, asked, model=model, arrived=arrived, queue_s=queue_s, server=self._server
            )
        except Exception:
            with suppress(Exception):
                log.exception("probe.failed")
        return ChatWatch(self._metrics, model, span)

    @_unfailing
    def chat_refused(self, error: ServiceError, *, request_id: UUID, route: str) -> None:
        """A request for a chat that was turned away at the door: no row, no span of its own."""
        self._metrics.requests.labels(OTHER_MODEL, error.outcome).inc()
        log.info("chat.refused", **lines.of_refusal(error, request_id=request_id, route=route))

    @_unfailing
    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, error: BaseException | None
    ) -> None:
        """One commit, or the attempt at it."""
        self._metrics.commit.observe(took_s)
        self._metrics.batch.observe(len(records))
        parents = [record.traceparent for record in records]
        commit_span(self._tracer, parents, database=self._database, began_ns=began_ns, error=error)

    @_unfailing
    def row_rejected(self) -> None:
        """The database refused a row for what is in it."""
        self._metrics.rejected.inc()


class ChatWatch:
    """Satisfies `chat.ports.ChatWatch`. `span` is None if it could not be made."""

    def __init__(self, metrics: Metrics, model: str, span: ChatSpan | None) -> None:
        self._metrics = metrics
        self._model = model
        self._span = span
        self._last: Attempt | None = None

    @property
    def traceparent(self) -> str | None:
        return traceparent(self._span.context) if self._span else None

    @_unfailing
    def attempted(self, attempt: Attempt) -> None:
        metrics = self._metrics
        metrics.attempts.labels(self._model, attempt.result).inc()
        if self._last is not None:
            metrics.retries.labels(self._last.result).inc()
        for kind, limit in attempt.rate_limits.items():
            metrics.limit.labels(self._model, kind).set(limit.limit)
            metrics.remaining.labels(self._model, kind).set(limit.remaining)
            metrics.reset.labels(self._model, kind).set(limit.reset_s)
        self._last = attempt
        if self._span:
            self._span.attempted(attempt)

    @_unfailing
    def finished(self, record: ChatRecord, error: ServiceError | None, *, commit_s: float) -> None:
        try:
            self._metrics.observe(record, exemplar=cast("dict[str, str] | None", exemplar(record.traceparent)))
        finally:
            if self._span:
                self._span.end(record, error, commit_s=commit_s)
        facts = lines.of_chat(record, self._last, commit_s=commit_s) | ids(record.traceparent)
        lines.tell(log, record.outcome, facts, error)
