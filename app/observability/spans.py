"""The spans of a chat and of a commit: facts only, nothing per chunk, few events.

A chat's span is never attached to a context: a client that leaves ends it in another context than it started in.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from app.core.errors import ServiceError
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.observability import conventions
from app.observability.attributes import (
    attempt_attributes,
    commit_attributes,
    outcome_attributes,
    request_attributes,
    retry_attributes,
)

_MIN_ADMISSION_S = 0.001
"""A shorter wait gets no span of its own."""
_Event = tuple[str, Mapping[str, Any], int]


class ChatSpans:
    """`chat {model}`, from admission until the row is durable or given up, its children, and the wait for admission.

    `arrived` and `admitted` are on `time.monotonic`'s clock, `server` has Groq's address. The span is a child of the
    request's span and sampled if that one is; both are errors if the chat failed, also within a response with status
    200. `context` is known from the start, so that rows and commits can refer to it.
    """

    def __init__(
        self,
        tracer: Tracer,
        chat_id: UUID,
        payload: Mapping[str, Any],
        *,
        model: str,
        arrived: float,
        admitted: float,
        queue_s: float,
        server: Mapping[str, Any],
    ) -> None:
        self._tracer = tracer
        self._queue_s = queue_s
        self._server = server
        self._clock_ns = time.time_ns() - time.monotonic_ns()
        self._arrived_ns, self._started_ns = self._ns(arrived), self._ns(admitted)
        self._request = get_current_span()
        self._span = tracer.start_span(
            conventions.CHAT_SPAN.format(model=model),
            kind=SpanKind.CLIENT,
            attributes={**request_attributes(chat_id, payload), **server},
            start_time=self._started_ns,
        )
        self.context = self._span.get_span_context()

    def end(
        self,
        record: ChatRecord,
        attempts: Sequence[Attempt],
        error: ServiceError | None,
        *,
        commit_s: float,
        stored_in: StoredIn | None,
    ) -> None:
        """Ends the span and makes its children. `commit_s` is how long the chat waited for its row."""
        if not self._span.is_recording():
            return
        if self._queue_s > _MIN_ADMISSION_S:
            waited_from = self._started_ns - round(self._queue_s * 1e9)
            self._add(conventions.ADMISSION_SPAN, self._request, {}, start_ns=waited_from, end_ns=self._started_ns)
        for number, attempt in enumerate(attempts):
            # Until Groq's headers, or until it failed. The event `first_token` marks the end of the wait after them.
            ended = (attempt.headers_at if attempt.error is None else attempt.ended) or attempt.started
            attributes = {**attempt_attributes(number, attempt), **self._server}
            self._add(
                conventions.ATTEMPT_SPAN,
                self._span,
                attributes,
                kind=SpanKind.CLIENT,
                start_ns=self._ns(attempt.started),
                end_ns=self._ns(ended),
            )
        for event in (*self._retries(attempts), *self._events(record, commit_s, stored_in)):
            self._span.add_event(*event)
        self._span.set_attributes(outcome_attributes(record, error))
        if record.outcome in conventions.FAILED:
            self._span.set_status(StatusCode.ERROR, record.outcome)
            if self._request.is_recording():
                self._request.set_status(StatusCode.ERROR, record.outcome)
                self._request.set_attribute("error.type", type(error).code if error else record.outcome)
        self._span.end(self._at(record.duration_ms + commit_s * 1000))

    def _add(
        self,
        name: str,
        parent: Span,
        attributes: Mapping[str, Any],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        start_ns: int,
        end_ns: int,
    ) -> None:
        context = set_span_in_context(parent, Context())
        self._tracer.start_span(name, context, kind, attributes, start_time=start_ns).end(end_ns)

    def _retries(self, attempts: Sequence[Attempt]) -> Iterator[_Event]:
        for failed, attempt in pairwise(attempts):
            ended = failed.ended or failed.started
            yield conventions.RETRY, retry_attributes(failed, wait_s=attempt.started - ended), self._ns(ended)

    def _events(self, record: ChatRecord, commit_s: float, stored_in: StoredIn | None) -> Iterator[_Event]:
        end_ns = self._at(record.duration_ms)
        if record.ttft_ms is not None:
            yield conventions.FIRST_TOKEN, {}, self._at(record.ttft_ms)
        for at_ms, silence_ms in record.details.stalls:
            yield conventions.STALL, {"silence_s": silence_ms / 1000}, self._at(at_ms)
        if record.outcome is Outcome.CLIENT_DISCONNECTED:
            yield conventions.CLIENT_DISCONNECTED, {}, end_ns
        if record.outcome is Outcome.DRAINING:
            yield conventions.DRAINING, {}, end_ns
        if stored_in is not None:
            yield conventions.STORED[stored_in], {}, end_ns + round(commit_s * 1e9)

    def _at(self, milliseconds: float) -> int:
        """Unix time in nanoseconds, so long after the request arrived."""
        return self._arrived_ns + round(milliseconds * 1e6)

    def _ns(self, monotonic_s: float) -> int:
        return self._clock_ns + round(monotonic_s * 1e9)


def commit_span(
    tracer: Tracer,
    records: Sequence[ChatRecord],
    *,
    database: str | None,
    start_ns: int,
    end_ns: int,
    failure: str | None,
) -> None:
    """`chat_logs.commit`: a trace of its own, as one commit serves many chats, with links to the sampled ones."""
    contexts = (_parsed(record.traceparent) for record in records if record.traceparent)
    span = tracer.start_span(
        conventions.COMMIT_SPAN,
        context=Context(),
        links=[Link(context) for context in contexts if context.trace_flags.sampled],
        attributes=commit_attributes(len(records), database=database, failure=failure),
        start_time=start_ns,
    )
    if failure is not None:
        span.set_status(StatusCode.ERROR)
    span.end(end_ns)


def traceparent(context: SpanContext) -> str | None:
    """The context as W3C's header; None without a trace."""
    if not context.is_valid:
        return None
    return f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"


def traceresponse() -> str | None:
    """The header that names the trace of the current request to its client."""
    return traceparent(get_current_span().get_span_context())


def trace_ids(context: SpanContext | None = None) -> dict[str, str]:
    """`trace_id` and `span_id` in hex, of the current span by default; empty without a trace."""
    context = context or get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def _parsed(parent: str) -> SpanContext:
    _, trace_id, span_id, flags = parent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(int(flags, 16)))
