"""The spans of one chat, made of facts: no prompt and no answer, nothing per chunk, and at the most ten events."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer, set_span_in_context

from app.core.attempt import Attempt
from app.core.errors import ServiceError
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, Kept
from app.observability import names
from app.observability.attributes import known, of_outcome, of_request
from app.observability.trace_context import parse

_WORTH_A_SPAN_S = 0.001
_FAILED = {
    Outcome.UPSTREAM_ERROR,
    Outcome.UPSTREAM_RATE_LIMITED,
    Outcome.UPSTREAM_TIMEOUT,
    Outcome.INTERNAL_ERROR,
    Outcome.NOT_RECORDED,
}
"""What we or Groq failed at; a client that leaves, or asks for what Groq refuses, is no error of the span."""


class ChatSpan:
    """`chat {model}`: from the moment it was let in until its row is durable or given up. It is never attached to a
    context, because a stream may end in another one than it began in.
    """

    def __init__(
        self,
        tracer: Tracer,
        chat_id: UUID,
        asked: Mapping[str, Any],
        *,
        model: str,
        arrived: float,
        queue_s: float,
        server: Mapping[str, Any],
    ) -> None:
        self._tracer = tracer
        self._server = server
        self._clock_ns = time.time_ns() - time.monotonic_ns()
        now_ns = time.time_ns()
        self._arrived_ns = self._ns(arrived)
        self._attempts: list[Attempt] = []
        if queue_s > _WORTH_A_SPAN_S:
            tracer.start_span(names.ADMISSION_SPAN, start_time=now_ns - round(queue_s * 1e9)).end(now_ns)
        self._span = tracer.start_span(f"{names.CHAT_SPAN} {model}", kind=SpanKind.CLIENT, start_time=now_ns)
        if self._span.is_recording():
            facts = {names.OPERATION: "chat", names.PROVIDER: "groq", names.CHAT_ID: str(chat_id)}
            self._span.set_attributes(known({**facts, **of_request(asked), **server}))

    @property
    def context(self) -> SpanContext:
        return self._span.get_span_context()

    def attempted(self, attempt: Attempt) -> None:
        """`groq.attempt`: until Groq's headers, or until it failed."""
        if not self._span.is_recording():
            return
        if self._attempts:
            self._retry(self._attempts[-1], attempt)
        self._attempts.append(attempt)
        ended = attempt.headers_at if attempt.error is None else attempt.ended
        attributes = {
            names.HTTP_METHOD: "POST",
            names.REQUEST_MODEL: attempt.model,
            names.HTTP_STATUS: attempt.status,
            names.RESEND_COUNT: len(self._attempts) - 1 or None,
            names.ERROR_TYPE: None if attempt.error is None else attempt.result,
            **{names.REMAINING.format(kind=kind): each.remaining for kind, each in attempt.rate_limits.items()},
            **self._server,
        }
        span = self._tracer.start_span(
            names.ATTEMPT_SPAN,
            context=set_span_in_context(self._span),
            kind=SpanKind.CLIENT,
            attributes=known(attributes),
            start_time=self._ns(attempt.started),
        )
        span.end(self._ns(ended or attempt.started))

    def _retry(self, failed: Attempt, attempt: Attempt) -> None:
        ended = failed.ended or failed.started
        facts = {
            names.ERROR_TYPE: failed.result,
            names.HTTP_STATUS: failed.status,
            names.WAIT_S: attempt.started - ended,
        }
        self._span.add_event(names.RETRY, known(facts), self._ns(ended))

    def end(self, record: ChatRecord, error: ServiceError | None, *, commit_s: float, kept: Kept | None) -> None:
        """The chat is over, and so is the wait for its row."""
        if self._span.is_recording():
            self._span.set_attributes(known(of_outcome(record, error)))
            self._add_events(record, commit_s, kept)
            if record.outcome in _FAILED:
                self._span.set_status(StatusCode.ERROR, record.outcome)
        self._span.end(self._arrived_ns + round((record.duration_ms + commit_s * 1000) * 1e6))

    def _add_events(self, record: ChatRecord, commit_s: float, kept: Kept | None) -> None:
        if record.ttft_ms is not None:
            self._event(names.FIRST_TOKEN, record.ttft_ms)
        for at_ms, silence_ms in record.details.stalls:
            self._event(names.STALL, at_ms, {names.GAP_S: silence_ms / 1000})
        if record.outcome is Outcome.CLIENT_DISCONNECTED:
            self._event(names.CLIENT_DISCONNECTED, record.duration_ms)
        if record.outcome is Outcome.DRAINING:
            self._event(names.DRAINING, record.duration_ms)
        if kept is not None:
            self._event(names.KEPT[kept], record.duration_ms + commit_s * 1000)

    def _event(self, name: str, at_ms: float, facts: Mapping[str, Any] | None = None) -> None:
        self._span.add_event(name, facts, self._arrived_ns + round(at_ms * 1e6))

    def _ns(self, monotonic_s: float) -> int:
        return self._clock_ns + round(monotonic_s * 1e9)


def commit_span(
    tracer: Tracer,
    traceparents: Sequence[str | None],
    *,
    database: str | None,
    began_ns: int,
    ended_ns: int,
    failure: str | None,
) -> None:
    """`chat_logs.commit`: a trace of its own, as one commit serves many chats; its links lead to those.

    Without a `database`, it was to the disk.
    """
    place = Kept.SPOOL if database is None else Kept.DATABASE
    span = tracer.start_span(
        names.COMMIT_SPAN,
        context=Context(),
        links=[Link(context) for context in map(parse, traceparents) if context and context.trace_flags.sampled],
        attributes=known({names.COMMIT_ROWS: len(traceparents), names.COMMIT_PLACE: place, names.DB_SYSTEM: database}),
        start_time=began_ns,
    )
    if failure is not None:
        span.set_attribute(names.ERROR_TYPE, failure)
        span.set_status(StatusCode.ERROR)
    span.end(ended_ns)
