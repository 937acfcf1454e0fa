"""Requests as the service has them, from what a client would send."""

import json
from typing import Any, TypeVar

import msgspec

from app.schemas.chat import ChatRequest, StreamRequest
from app.schemas.json_scan import JsonScan

_Kind = TypeVar("_Kind", bound=ChatRequest)
MAX_VALUES = 100_000


def parsed(body: Any, kind: type[_Kind] = StreamRequest) -> _Kind:  # type: ignore[assignment]
    """`body` may be bytes, or anything that JSON can say. Raises InvalidRequest."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    scan = JsonScan(MAX_VALUES)
    scan.feed(data)
    return kind.parse(data, scan)


def as_objects(value: Any) -> Any:
    """What has JSON in it that has not been read, as objects."""
    return json.loads(msgspec.json.encode(value))
