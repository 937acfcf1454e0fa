"""The trace file reports whether spans were written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from app.observability.trace_file import TraceFile, read_spans


def test_batch_has_failed_if_any_of_its_spans_was_not_written(tmp_path: Path) -> None:
    span: Any = TracerProvider().get_tracer("test").start_span("a span")
    span.end()
    path = tmp_path / "traces.jsonl"
    path.mkdir()

    def spans() -> Iterator[Any]:
        yield span
        path.rmdir()  # from here on the file can be written
        yield span

    batch: Any = spans()
    file = TraceFile(path)
    assert file.export(batch) is SpanExportResult.FAILURE
    assert file.export([span]) is SpanExportResult.SUCCESS
    assert len(read_spans(path)) == 2
    file.shutdown()
