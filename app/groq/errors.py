"""What Groq refuses, in the words of our own tree of errors."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedOurKey,
    UpstreamRejected,
    UpstreamUnavailable,
)
from app.core.storable import storable

_FOR_NOW = {498, 500, 502, 503, 504}  # 498 is Groq's own: the flex tier is full


def error_from(status: int, said: Mapping[str, Any], *, retry_after: float | None = None) -> UpstreamError:
    """The error for an HTTP status of Groq's and the error object that came with it."""
    said = _sendable(said)
    message = str(said.get("message") or f"Groq answered with status {status}")
    if status in (401, 403):
        # What Groq says of our key is not the caller's to read.
        return UpstreamRefusedOurKey("Groq refuses the key of this service; its operator must set GROQ_API_KEY")
    if status == 429:
        return UpstreamRateLimited(message, said=said, retry_after=retry_after)
    if status in _FOR_NOW:
        return UpstreamUnavailable(message, said=said, retry_after=retry_after)
    if status >= 500:
        return UpstreamBroken(message, said=said)
    if status < 400:
        return UpstreamBroken(f"Groq answered with status {status} where a stream was asked for")
    return UpstreamRejected(message, status=status, said=said)


def error_of(said: Mapping[str, Any] | str) -> UpstreamError:
    """The error for what Groq says inside a stream: `event: error`, or a chunk with an `error`."""
    if isinstance(said, str):
        return UpstreamBroken(storable(said))
    status = said.get("status_code")
    if isinstance(status, int) and 400 <= status < 600:
        return error_from(status, {key: value for key, value in said.items() if key != "status_code"})
    said = _sendable(said)
    return UpstreamBroken(str(said.get("message") or "Groq ended the stream with an error"), said=said)


def _sendable(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Groq says is passed on; what no JSON encoder takes would cost the client the whole error."""
    try:
        sendable: Mapping[str, Any] = storable(dict(said))
        msgspec.json.encode(sendable)
    except (RecursionError, ValueError, TypeError):
        return {}
    return sendable
