"""Parsed requests."""

import json
from typing import Any, TypeVar

import msgspec

from app.schemas.chat import ChatRequest, StreamRequest
from app.schemas.json_scan import JsonScan

_Kind = TypeVar("_Kind", bound=ChatRequest)
MAX_VALUES = 100_000


def parsed(body: Any, kind: type[_Kind] = StreamRequest) -> _Kind:  # type: ignore[assignment]
    """Parses bytes, or a value after encoding it as JSON. Raises InvalidRequest."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    scan = JsonScan(MAX_VALUES)
    scan.feed(data)
    return kind.parse(data, scan)


def as_objects(value: Any) -> Any:
    """Decodes the raw JSON inside a value."""
    return json.loads(msgspec.json.encode(value))
