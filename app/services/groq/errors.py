"""Groq's failures as errors of the service: error bodies without the service's key, causes of failed connections."""

import errno
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from app.core.errors import ServiceError
from app.core.text import storable
from app.core.upstream import (
    UpstreamBroken,
    UpstreamError,
    UpstreamKeyRefused,
    UpstreamModelGone,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnavailable,
)
from app.services.chat.block import Block

_TRANSIENT = {408, 409, 425, 498}
"""Statuses that are retried like 429 and every 5xx: the request timed out, met a conflict or came too early (RFC 9110,
RFC 8470). 498 is Groq's own: the flex tier has no capacity left."""
_MODEL_GONE = {"model_not_found", "model_decommissioned"}
_TITLE = re.compile(r"<title[^<>]*+>([^<]{1,400})</title>", re.IGNORECASE)
_TITLE_WITHIN_BYTES = 4096


def error_from_response(
    status: int, body: bytes, *, content_type: str, retry_after: float | None, configured_model: bool
) -> UpstreamError:
    """The error for a response whose status is not 200. `configured_model`: the settings name the model."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = _page_message(status, body, content_type)
        return error_from_status(status, {"message": message}, retry_after=retry_after)
    error = _error_object(content)
    return error_from_status(status, error, retry_after=retry_after, configured_model=configured_model)


def error_from_event(content: Any) -> UpstreamError:
    """The error for what Groq sends inside a stream: an `event: error`, or a chunk with an `error`."""
    error = _error_object(content)
    status = error.get("status_code")
    if isinstance(status, int) and 400 <= status < 600:
        return error_from_status(status, {key: value for key, value in error.items() if key != "status_code"})
    body = _sendable(error)
    return UpstreamBroken(str(body.get("message") or "Groq ended the stream with an error"), upstream_error_body=body)


def error_from_status(
    status: int, error: Mapping[str, Any], *, retry_after: float | None = None, configured_model: bool = False
) -> UpstreamError:
    """The error for a status of Groq's, and the error object that came with it."""
    body = _sendable(error)
    message = str(body.get("message") or f"Groq answered with status {status}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        # Groq's message is about the service's key or network, which does not concern the client.
        return UpstreamKeyRefused("Groq refuses the key of this service; its operator must set GROQ_API_KEY")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamRateLimited(message, upstream_error_body=body, retry_after=retry_after)
    if status in _TRANSIENT or status >= 500:
        return UpstreamUnavailable(message, upstream_error_body=body, retry_after=retry_after)
    if status < 400:
        return UpstreamBroken(f"Groq answered with status {status} where an answer was expected")
    if configured_model and isinstance(code := body.get("code"), str) and code in _MODEL_GONE:
        return UpstreamModelGone(
            "Groq no longer serves the model that this service is set to; its operator must change it"
        )
    return UpstreamRejected(message, status=status, upstream_error_body=body)


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "dns_failure"),
    (aiohttp.ClientSSLError, "tls_failure"),
    (aiohttp.ClientProxyConnectionError, "proxy_failure"),
    (aiohttp.ClientHttpProxyError, "proxy_failure"),
    (aiohttp.ServerTimeoutError, "connect_timeout"),
    (aiohttp.ServerDisconnectedError, "connection_closed"),
    (aiohttp.ClientPayloadError, "connection_closed"),
    (aiohttp.ClientResponseError, "protocol_error"),
    (ConnectionRefusedError, "connect_refused"),
    (ConnectionResetError, "connection_reset"),
    (ConnectionAbortedError, "connection_reset"),
    (BrokenPipeError, "connection_reset"),
)
_CAUSES_BY_ERRNO = {errno.ECONNREFUSED: "connect_refused", errno.ECONNRESET: "connection_reset"}


def caused_by(exc: Exception, error: UpstreamError) -> UpstreamError:
    """Returns `error` with the cause of the failed connection."""
    error.cause = cause_of(exc)
    error.__cause__ = exc
    return error


def cause_of(exc: BaseException) -> str:
    """One of `core.upstream.CONNECTION_CAUSES`."""
    for kind, cause in _CAUSES:
        if isinstance(exc, kind):
            return cause
    if isinstance(exc, aiohttp.ClientConnectorError):
        return cause_of(exc.os_error)
    number = exc.errno if isinstance(exc, OSError) else None
    return _CAUSES_BY_ERRNO.get(number or 0, "connection_failed")


def _error_object(content: Any) -> Mapping[str, Any]:
    """The error in a body: `{"error": {…}}`, `{"error": "text"}`, a list of one, or the object itself."""
    if isinstance(content, list):
        content = content[0] if content else {}
    if isinstance(content, dict) and (inner := content.get("error")):
        content = inner[0] if isinstance(inner, list) else inner
    if isinstance(content, str):
        return {"message": content}
    return content if isinstance(content, dict) else {}


def _page_message(status: int, body: bytes, content_type: str) -> str:
    """A sentence for an error page, such as a proxy's in HTML."""
    title = _TITLE.search(body[:_TITLE_WITHIN_BYTES].decode("utf-8", "replace"))
    kind = content_type.partition(";")[0].strip() or "no content type"
    return f"Groq answered with status {status} ({kind})" + (f": {' '.join(title[1].split())}" if title else "")


def _sendable(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error as it came, or an empty one if it cannot be encoded as JSON."""
    try:
        sendable: Mapping[str, Any] = storable(dict(error))
        msgspec.json.encode(sendable)
    except (RecursionError, ValueError, TypeError):
        return {}
    return sendable


# ── The service's own key ────────────────────────────────────────────────────────────────────────────────────────

_MIN_KEY_LENGTH = 12
"""Shorter keys are not replaced: they are a simulator's, and may be ordinary words of a message."""
_REPLACEMENT = "(the key of this service)"


class Redactor:
    """Replaces the key wherever Groq quotes it: messages of errors are passed on to clients."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._is_secret = len(key) >= _MIN_KEY_LENGTH

    def redact_error(self, error: ServiceError) -> None:
        """Replaces the key in the message, and in Groq's own error object."""
        if self._is_secret:
            error.message = error.message.replace(self._key, _REPLACEMENT)
            error.args = (error.message,)
            if error.upstream_error_body is not None:
                redacted = self._redacted_json(msgspec.json.encode(error.upstream_error_body))
                error.upstream_error_body = msgspec.json.decode(redacted)

    def redact_block(self, block: Block) -> None:
        """Replaces the key in the error, and in the reason of an early stop, which `data` contains too."""
        if block.error is not None:
            self.redact_error(block.error)
        if block.early_stop and self._is_secret:
            block.early_stop = block.early_stop.replace(self._key, _REPLACEMENT)
            block.data = self._redacted_json(block.data)

    def _redacted_json(self, data: bytes) -> bytes:
        return data.replace(msgspec.json.encode(self._key)[1:-1], _REPLACEMENT.encode())
