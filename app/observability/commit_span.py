"""The span of a commit, which serves many chats at once."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, StatusCode, Tracer

from app.core.record import Kept
from app.observability import names
from app.observability.attributes import known
from app.observability.trace_context import parse


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
