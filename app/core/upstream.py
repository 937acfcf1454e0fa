"""One request to the provider (an attempt), and the errors that the provider causes.

UpstreamError             502
├─ UpstreamUnreachable      502   no connection, or it closed before an answer
├─ UpstreamUnavailable      503   status 408, 409, 425, 498 or 5xx
├─ UpstreamTimeout          504   one of the time limits was reached
├─ UpstreamRateLimited      429   status 429
├─ UpstreamKeyRefused       502   status 401 or 403: the service's key, not the client's
├─ UpstreamModelGone        502   the provider no longer serves a model of the settings
├─ UpstreamRejected         4xx   the provider refused the request; its error is passed on
└─ UpstreamBroken           502   the answer broke off, stopped early or could not be read
   └─ UpstreamBrokenEarly   502   the same before its first token: it is retried
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import InternalError, ServiceError
from app.core.outcomes import Outcome

CONNECTION_CAUSES = (
    "dns_failure", "connect_refused", "connect_timeout", "tls_failure", "proxy_failure", "connection_reset",
    "connection_closed", "protocol_error", "connection_failed",
)  # fmt: skip
"""Why the connection to the provider failed. Operators see the cause in logs, spans and rows; clients never do."""


class UpstreamError(ServiceError):
    """`cause` is one of `CONNECTION_CAUSES` where the connection failed."""

    status = 502
    code = "upstream_error"
    type = "upstream_error"
    outcome = Outcome.UPSTREAM_ERROR
    cause: str | None = None


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    status = 503
    code = "upstream_unavailable"
    retryable = True


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    outcome = Outcome.UPSTREAM_TIMEOUT
    retryable = True


class UpstreamRateLimited(UpstreamError):
    status = 429
    code = "rate_limit_exceeded"
    outcome = Outcome.UPSTREAM_RATE_LIMITED
    retryable = True


class UpstreamKeyRefused(UpstreamError):
    code = "upstream_refused_key"


class UpstreamModelGone(UpstreamError):
    code = "upstream_model_gone"


class UpstreamRejected(UpstreamError):
    code = "upstream_rejected"
    type = "invalid_request_error"
    outcome = Outcome.UPSTREAM_REJECTED

    def __init__(self, message: str, *, status: int, upstream_error_body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, upstream_error_body=upstream_error_body)
        self.status = status


class UpstreamBroken(UpstreamError):
    code = "upstream_broken"


class UpstreamBrokenEarly(UpstreamBroken):
    retryable = True


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rate limit from the provider's headers; `reset_s` is the time until it is full again."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(slots=True)
class Attempt:
    """Times are in seconds on `time.monotonic`'s clock. `ended`: the answer made its first progress (one that is
    not streamed: was read), or the attempt failed.

    `sent`: the whole request was written to the connection, so the provider may have worked on it.
    `model` is the id that was sent, perhaps the fallback model's. `rate_limits` has those in the provider's headers:
    `requests` (per day) and `tokens` (per minute).
    """

    model: str
    started: float
    headers_at: float | None = None
    ended: float | None = None
    status: int | None = None
    rate_limits: Mapping[str, RateLimit] = field(default_factory=dict)
    error: BaseException | None = None
    sent: bool = False

    @property
    def cause(self) -> str | None:
        """Why the connection failed, one of `CONNECTION_CAUSES`; None if it did not."""
        return self.error.cause if isinstance(self.error, UpstreamError) else None

    @property
    def result(self) -> str:
        """`ok`, the code of the error, or `cancelled`."""
        if self.error is None:
            return "ok"
        if isinstance(self.error, asyncio.CancelledError):
            return "cancelled"
        return type(self.error).code if isinstance(self.error, ServiceError) else InternalError.code
