"""Groq's failures as errors of our own: its error bodies, its headers, and the causes of a broken connection."""

import errno
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from app.core.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamModelGone,
    UpstreamRateLimited,
    UpstreamRefusedOurKey,
    UpstreamRejected,
    UpstreamUnavailable,
)
from app.core.storable import storable

_TRANSIENT = {408, 409, 425, 498}
"""Beside 429 and every 5xx. 498 is Groq's own: the flex tier has no capacity left."""
_MODEL_GONE = {"model_not_found", "model_decommissioned"}
_LONGEST_WAIT_S = 366 * 86_400
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,12})?")
_TITLE = re.compile(r"<title[^>]*>\s*(.{1,200}?)\s*</title>", re.IGNORECASE | re.DOTALL)


def refusal(status: int, body: bytes, *, content_type: str, retry_after: float | None, is_ours: bool) -> UpstreamError:
    """The error for an HTTP response that is no success. `is_ours`: we chose the model, not the caller."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return from_status(status, {"message": _page_text(status, body, content_type)}, retry_after=retry_after)
    return from_status(status, _error_object(content), retry_after=retry_after, is_ours=is_ours)


def in_band_error(content: Any) -> UpstreamError:
    """The error for what Groq sends inside a stream: `event: error`, or a chunk with an `error`."""
    error = _error_object(content)
    status = error.get("status_code")
    if isinstance(status, int) and 400 <= status < 600:
        return from_status(status, {key: value for key, value in error.items() if key != "status_code"})
    body = _sendable(error)
    return UpstreamBroken(str(body.get("message") or "Groq ended the stream with an error"), upstream_error_body=body)


def from_status(
    status: int, error: Mapping[str, Any], *, retry_after: float | None = None, is_ours: bool = False
) -> UpstreamError:
    """The error for an HTTP status of Groq's and the error object that came with it."""
    body = _sendable(error)
    message = str(body.get("message") or f"Groq answered with status {status}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        # Groq's message is about our key, which is not the caller's business.
        return UpstreamRefusedOurKey("Groq refuses the key of this service; its operator must set GROQ_API_KEY")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamRateLimited(message, upstream_error_body=body, retry_after=retry_after)
    if status in _TRANSIENT or status >= 500:
        return UpstreamUnavailable(message, upstream_error_body=body, retry_after=retry_after)
    if status < 400:
        return UpstreamBroken(f"Groq answered with status {status} where an answer was expected")
    if is_ours and body.get("code") in _MODEL_GONE:
        return UpstreamModelGone(
            "Groq no longer serves the model that this service is set to; its operator must change it"
        )
    return UpstreamRejected(message, status=status, upstream_error_body=body)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a `Retry-After`: RFC 9110 has whole seconds and HTTP dates, some servers send decimals.

    None for anything else, and for more than a year: such a header is as good as none.
    """
    text = (header or "").strip()
    if _DECIMAL.fullmatch(text):
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
    return seconds if seconds <= _LONGEST_WAIT_S else None


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


def cause_of(exc: BaseException) -> str:
    """Why Groq could not be reached, or the connection broke: one of `core.errors.CONNECTION_CAUSES`."""
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


def _page_text(status: int, body: bytes, content_type: str) -> str:
    """A sentence for an error page, such as a proxy's in HTML."""
    title = _TITLE.search(body.decode("utf-8", "replace"))
    kind = content_type.partition(";")[0].strip() or "no content type"
    return f"Groq answered with status {status} ({kind})" + (f": {' '.join(title[1].split())}" if title else "")


def _sendable(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Passed on as it came, unless no JSON encoder takes it, which would cost the client the whole error."""
    try:
        sendable: Mapping[str, Any] = storable(dict(error))
        msgspec.json.encode(sendable)
    except (RecursionError, ValueError, TypeError):
        return {}
    return sendable
