"""The protobuf that leaves the process is the one that the SDK would have written."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.observability.otlp import encode

_VALUES: dict[str, Any] = {
    "text": "Zürich 🚀",
    "empty": "",
    "long": "x" * 70_000,
    "yes": True,
    "no": False,
    "zero": 0,
    "count": 300,
    "large": 2**62,
    "negative": -5,
    "fraction": 0.25,
    "texts": ["stop", ""],
    "numbers": (1, 2**40, -1),
    "bytes": b"\x00\xff",
}


def as_sdk(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """Spans of one scope stand together, in the order of the scopes' names."""
    told: dict[str, Any] = MessageToDict(encode_spans(spans))
    for resource in told["resourceSpans"]:
        resource["scopeSpans"].sort(key=lambda each: each["scope"].get("name", ""))
    return told


def as_ours(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(encode(spans)))
    return told


@pytest.fixture
def provider() -> TracerProvider:
    limits = SpanLimits(max_span_attributes=20, max_events=2, max_links=2)
    return TracerProvider(resource=Resource({"service.name": "s", "n": 1}, "https://schema"), span_limits=limits)


def test_a_span_with_all_that_it_may_have(provider: TracerProvider) -> None:
    tracer = provider.get_tracer("app", "1.2", "https://another")
    other = SpanContext(2**127 + 5, 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))
    span = tracer.start_span(
        "chat m",
        kind=SpanKind.CLIENT,
        attributes=_VALUES,
        links=[Link(other, {"why": "asked"}), Link(other), Link(other)],
    )
    span.set_attributes({f"more.{number}": number for number in range(30)})
    for name in ("first", "second", "third"):
        span.add_event(name, {"at": 1.5, "names": ["x"]}, 1_700_000_000_123_456_789)
    span.set_status(StatusCode.ERROR, "upstream_error")
    span.end()
    assert isinstance(span, ReadableSpan)
    assert as_ours([span]) == as_sdk([span])


@pytest.mark.parametrize("kind", SpanKind)
def test_every_kind_and_the_barest_span(provider: TracerProvider, kind: SpanKind) -> None:
    span = provider.get_tracer("").start_span("", kind=kind)
    assert isinstance(span, ReadableSpan)
    assert as_ours([span]) == as_sdk([span])
    span.end()


def test_children_parents_from_elsewhere_and_scopes(provider: TracerProvider) -> None:
    carrier = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "k=v,l=w"}
    server = provider.get_tracer("z.server").start_span("POST", TraceContextTextMapPropagator().extract(carrier))
    child = provider.get_tracer("app").start_span("chat", set_span_in_context(server))
    second = provider.get_tracer("z.server").start_span("GET")
    spans: list[Any] = [server, child, second]
    for span in spans:
        span.end()
    assert as_ours(spans) == as_sdk(spans)
