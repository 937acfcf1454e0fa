"""Which trace we are in, as text."""

from opentelemetry.trace import SpanContext, TraceFlags, get_current_span


def traceparent(context: SpanContext) -> str | None:
    """As in W3C's header; None if there is no trace."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def traceresponse() -> str | None:
    """The header that tells a client which trace its request is in."""
    return traceparent(get_current_span().get_span_context())


def ids(parent: str | None) -> dict[str, str]:
    """`trace_id` and `span_id` of a traceparent; empty if there is none."""
    if parent is None:
        return {}
    _, trace_id, span_id, _ = parent.split("-")
    return {"trace_id": trace_id, "span_id": span_id}


def exemplar(parent: str | None) -> dict[str, str] | None:
    """What joins an observation to its trace; None if nobody will find that trace."""
    context = parse(parent)
    return ids(parent) if context and context.trace_flags.sampled else None


def parse(parent: str | None) -> SpanContext | None:
    """The span that a traceparent of ours names."""
    if parent is None:
        return None
    _, trace_id, span_id, flags = parent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(int(flags, 16)))
