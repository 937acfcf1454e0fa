"""The trace file, for a machine without a collector: the last spans, one a line, as OpenTelemetry's own JSON."""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

TRACE_FILE = Path("data/traces.jsonl")
"""The default of `make run`."""
_MAX_BYTES = 5 * 2**20
_FIELDS = {"name", "context", "parent_id", "start_time", "end_time", "attributes", "events", "links"}


class TraceFile(SpanExporter):
    """Appends spans to the file. At 5 MiB it is renamed to `….1`, which replaces the one renamed before."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _File(path, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8", delay=True)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._file.failed = False
        for span in spans:
            self._file.handle(logging.makeLogRecord({"msg": span.to_json(indent=None)}))
        return SpanExportResult.FAILURE if self._file.failed else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        with suppress(OSError):  # of a full disk, on which the last spans are lost too
            self._file.close()


class _File(RotatingFileHandler):
    """Remembers that a write failed, instead of printing a traceback: a full disk costs spans only."""

    failed = False

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        self.failed = True


def read_spans(path: Path) -> list[dict[str, Any]]:
    """Every span of the file and of the one before it, oldest first. Lines that are no spans are left out."""
    spans = []
    for part in (path.with_name(path.name + ".1"), path):
        if part.exists():
            for line in part.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError):
                    span = json.loads(line)
                    if isinstance(span, dict) and set(span) >= _FIELDS:
                        spans.append(span)
    return spans
