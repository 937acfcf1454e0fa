"""Spans as OTLP's protobuf, written directly: the SDK makes an object of each attribute, which for a chat's spans takes
longer than to make the spans themselves. A test holds this against the SDK's own encoder.

The numbers are those of the fields in opentelemetry-proto's `trace.proto`, `common.proto` and `resource.proto`.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Link, SpanContext

_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_fixed64 = struct.Struct("<Q").pack
_fixed32 = struct.Struct("<I").pack
_double = struct.Struct("<d").pack


class Exporter(OTLPSpanExporter):
    """OpenTelemetry's exporter over HTTP, set by its variables."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._shutdown:
            return SpanExportResult.FAILURE
        sent = self._client.export(encode(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """An ExportTraceServiceRequest: spans by their scope, in the one resource that a process has."""
    by_scope = groupby(sorted(spans, key=_scope_name), _scope_name)
    scopes = b"".join(_message(2, _scope_spans(list(of_scope))) for _, of_scope in by_scope)
    resource = _message(1, _attributes(1, spans[0].resource.attributes))
    return _message(1, resource + scopes + _text(3, spans[0].resource.schema_url))


def _scope_name(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


def _scope_spans(spans: Sequence[ReadableSpan]) -> bytes:
    scope = spans[0].instrumentation_scope
    name = _text(1, scope.name) + _text(2, scope.version) if scope else b""
    schema_url = _text(3, scope.schema_url) if scope else b""
    return _message(1, name) + b"".join(_message(2, _span(span)) for span in spans) + schema_url


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    state = ",".join(f"{key}={value}" for key, value in context.trace_state.items())
    status = _text(2, span.status.description) + _number(3, span.status.status_code.value)
    return b"".join(
        (
            _ids(context),
            _text(3, state),
            _message(4, parent.span_id.to_bytes(8)) if parent else b"",
            _text(5, span.name),
            _number(6, span.kind.value + 1),
            b"\x39" + _fixed64(span.start_time or 0),
            b"\x41" + _fixed64(span.end_time or 0),
            _attributes(9, span.attributes),
            _number(10, span.dropped_attributes),
            *[_message(11, _event(event)) for event in span.events],
            _number(12, span.dropped_events),
            *[_message(13, _link(link)) for link in span.links],
            _number(14, span.dropped_links),
            _message(15, status),
            b"\x85\x01" + _flags(parent),
        )
    )


def _event(event: Event) -> bytes:
    told = _text(2, event.name) + _attributes(3, event.attributes)
    return b"\x09" + _fixed64(event.timestamp) + told + _number(4, event.dropped_attributes)


def _link(link: Link) -> bytes:
    told = _attributes(4, link.attributes) + _number(5, link.dropped_attributes)
    return _ids(link.context) + told + b"\x35" + _flags(link.context)


def _ids(context: SpanContext) -> bytes:
    return b"\x0a\x10" + context.trace_id.to_bytes(16) + b"\x12\x08" + context.span_id.to_bytes(8)


def _flags(context: SpanContext | None) -> bytes:
    return _fixed32(_HAS_IS_REMOTE | _IS_REMOTE if context and context.is_remote else _HAS_IS_REMOTE)


def _attributes(number: int, attributes: Mapping[str, Any] | None) -> bytes:
    return b"".join([_attribute(number, key, value) for key, value in (attributes or {}).items()])


def _attribute(number: int, key: str, value: Any) -> bytes:
    return _message(number, _key(key) + _message(2, _value(value)))


@lru_cache(maxsize=512)
def _key(key: str) -> bytes:
    return _text(1, key)


def _value(value: Any) -> bytes:
    """Of the types that OpenTelemetry lets attributes have; nothing of any other."""
    write = _WRITE.get(type(value))
    if write is None:
        write = next((each for kind, each in _WRITE.items() if isinstance(value, kind)), _no_value)
    return write(value)


def _no_value(_: Any) -> bytes:
    return b""


def _text_value(value: str) -> bytes:
    return _message(1, value.encode("utf-8", "replace"))


def _double_value(value: float) -> bytes:
    return b"\x21" + _double(value)


def _int_value(value: int) -> bytes:
    return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _bool_value(value: bool) -> bytes:  # noqa: FBT001
    return b"\x10" + _varint(value)


def _bytes_value(value: bytes) -> bytes:
    return _message(7, value)


def _array_value(values: Sequence[Any]) -> bytes:
    return _message(5, b"".join([_message(1, _value(each)) for each in values]))


_WRITE: dict[type, Callable[[Any], bytes]] = {
    str: _text_value,
    bool: _bool_value,
    float: _double_value,
    int: _int_value,
    bytes: _bytes_value,
    tuple: _array_value,
    list: _array_value,
}


def _text(number: int, text: str | None) -> bytes:
    return _message(number, text.encode("utf-8", "replace")) if text else b""


def _number(number: int, value: int) -> bytes:
    """Zero is what is read where nothing is written."""
    return _varint(number << 3) + _varint(value) if value else b""


def _message(number: int, content: bytes) -> bytes:
    size = len(content)
    return _SMALL[number << 3 | 2] + (_SMALL[size] if size < 0x80 else _varint(size)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    low = bytearray()
    while value >= 0x80:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    low.append(value)
    return bytes(low)


_SMALL = [bytes([value]) for value in range(0x80)]
