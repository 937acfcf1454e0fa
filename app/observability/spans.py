"""The spans of one chat, made of facts when it is over: no prompt and no answer, nothing per chunk, and at the most ten
events.

OpenTelemetry's API makes a span when it begins, and takes a lock for each of its forty attributes. That was a fifth of
what all signals cost; so the finished spans are made directly, as its SDK would hand them to its processors.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from opentelemetry.sdk.trace import Event, ReadableSpan, Tracer
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, get_current_span

from app.core.attempt import Attempt
from app.core.errors import ServiceError
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, Kept
from app.observability import names
from app.observability.attributes import known, of_outcome, of_request

SCOPE = InstrumentationScope("app")
"""Whose spans they are."""
_WORTH_A_SPAN_S = 0.001
_FAILED = {
    Outcome.UPSTREAM_ERROR,
    Outcome.UPSTREAM_RATE_LIMITED,
    Outcome.UPSTREAM_TIMEOUT,
    Outcome.INTERNAL_ERROR,
    Outcome.PERSISTENCE_FAILED,
}
"""What we or Groq failed at; a client that leaves, or asks for what Groq refuses, is no error of the span."""


class ChatSpans:
    """`chat {model}`, from the moment it was let in until its row is durable or given up, and the spans below it.

    It belongs to the request's own span, and is sampled if that one is; without one there is nothing to belong to, and
    nothing is told. `context` is known from the start, so that rows and commits can name it.
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
        self._chat_id = chat_id
        self._asked = asked
        self._model = model
        self._queue_s = queue_s
        self._server = server
        self._clock_ns = time.time_ns() - time.monotonic_ns()
        self._began_ns = time.time_ns()
        self._arrived_ns = self._ns(arrived)
        self._parent = get_current_span().get_span_context()
        self.context = self._below(self._parent)

    def end(
        self,
        record: ChatRecord,
        attempts: Sequence[Attempt],
        error: ServiceError | None,
        *,
        commit_s: float,
        kept: Kept | None,
    ) -> None:
        """The chat is over, and so is the wait for its row."""
        if not (self.context.is_valid and self.context.trace_flags.sampled):
            return
        if self._queue_s > _WORTH_A_SPAN_S:
            waited_ns = self._began_ns - round(self._queue_s * 1e9), self._began_ns
            self._tell(names.ADMISSION_SPAN, {}, waited_ns, kind=SpanKind.INTERNAL)
        for number, attempt in enumerate(attempts):
            self._tell_attempt(number, attempt)
        facts = {names.OPERATION: "chat", names.PROVIDER: "groq", names.CHAT_ID: str(self._chat_id)}
        self._tell(
            f"{names.CHAT_SPAN} {self._model}",
            {**facts, **of_request(self._asked), **self._server, **of_outcome(record, error)},
            (self._began_ns, self._at(record.duration_ms + commit_s * 1000)),
            context=self.context,
            events=[*self._retries(attempts), *self._events(record, commit_s, kept)],
            status=Status(StatusCode.ERROR, record.outcome) if record.outcome in _FAILED else Status(),
        )

    def _tell_attempt(self, number: int, attempt: Attempt) -> None:
        """`groq.attempt`: until Groq's headers, or until it failed."""
        ended = attempt.headers_at if attempt.error is None else attempt.ended
        facts = {
            names.HTTP_METHOD: "POST",
            names.REQUEST_MODEL: attempt.model,
            names.HTTP_STATUS: attempt.status,
            names.RESEND_COUNT: number or None,
            names.ERROR_TYPE: None if attempt.error is None else attempt.result,
            names.CONNECTION_CAUSE: attempt.cause,
            **{names.REMAINING.format(kind=kind): each.remaining for kind, each in attempt.rate_limits.items()},
            **self._server,
        }
        self._tell(names.ATTEMPT_SPAN, facts, (self._ns(attempt.started), self._ns(ended or attempt.started)))

    def _retries(self, attempts: Sequence[Attempt]) -> list[Event]:
        retries = []
        for failed, attempt in pairwise(attempts):
            ended = failed.ended or failed.started
            facts = {
                names.ERROR_TYPE: failed.result,
                names.HTTP_STATUS: failed.status,
                names.WAIT_S: attempt.started - ended,
            }
            retries.append(Event(names.RETRY, known(facts), self._ns(ended)))
        return retries

    def _events(self, record: ChatRecord, commit_s: float, kept: Kept | None) -> list[Event]:
        events = []
        if record.ttft_ms is not None:
            events.append(Event(names.FIRST_TOKEN, {}, self._at(record.ttft_ms)))
        for at_ms, silence_ms in record.details.stalls:
            events.append(Event(names.STALL, {names.GAP_S: silence_ms / 1000}, self._at(at_ms)))
        if record.outcome is Outcome.CLIENT_DISCONNECTED:
            events.append(Event(names.CLIENT_DISCONNECTED, {}, self._at(record.duration_ms)))
        if record.outcome is Outcome.DRAINING:
            events.append(Event(names.DRAINING, {}, self._at(record.duration_ms)))
        if kept is not None:
            events.append(Event(names.KEPT[kept], {}, self._at(record.duration_ms + commit_s * 1000)))
        return events

    def _tell(
        self,
        name: str,
        facts: Mapping[str, Any],
        times_ns: tuple[int, int],
        *,
        kind: SpanKind = SpanKind.CLIENT,
        context: SpanContext | None = None,
        events: Sequence[Event] = (),
        status: Status = Status(),  # noqa: B008 - it cannot change
    ) -> None:
        """Without a `context`, a span below that of the chat."""
        tracer = self._tracer
        span = ReadableSpan(
            name,
            context or self._below(self.context),
            self._parent if context else self.context,
            tracer.resource,
            known(facts),
            events,
            kind=kind,
            status=status,
            start_time=times_ns[0],
            end_time=times_ns[1],
            instrumentation_scope=SCOPE,
        )
        tracer.span_processor.on_end(span)

    def _below(self, parent: SpanContext) -> SpanContext:
        """A span in the parent's trace; invalid if that is."""
        span_id = self._tracer.id_generator.generate_span_id() if parent.is_valid else 0
        return SpanContext(parent.trace_id, span_id, is_remote=False, trace_flags=parent.trace_flags)

    def _at(self, milliseconds: float) -> int:
        """So long after the request had come."""
        return self._arrived_ns + round(milliseconds * 1e6)

    def _ns(self, monotonic_s: float) -> int:
        return self._clock_ns + round(monotonic_s * 1e9)
