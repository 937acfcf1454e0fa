"""The tree of errors: each knows its code, its HTTP status, the outcome of its chat, and whether a repeat can help.

    ServiceError
    ├─ InvalidRequest              400   the caller's: the message names the field and the fix
    │  ├─ ModelNotFound            404
    │  ├─ BodyTooLarge             413
    │  ├─ BodyTooSlow              408
    │  ├─ HeadersTooLarge          431
    │  └─ HeadersTooSlow           408
    ├─ Unauthorized                401   the caller's: no key of this service, or a wrong one
    ├─ QuotaExceeded               429   the caller's: more requests than its key may make
    │  ├─ TokenQuotaExceeded       429   … or more tokens than it may use
    │  ├─ StreamQuotaExceeded      429   … or more streams than it may have at once
    │  └─ BodyBytesExceeded        429   … or more bytes in requests under way than are left for others
    ├─ QuotaUnavailable            503   ours: nothing can be counted, and so nothing is begun
    ├─ Overloaded                  503   ours: no room for one more stream
    ├─ RowsUnavailable             503   ours: nothing can be recorded, so nothing is begun
    ├─ ServerDraining              503   ours: the server stops before the chat has ended
    │  └─ ServerStopping           503   … and lets nobody in any longer
    ├─ ClientStalled               499   the client's: it took nothing for too long
    ├─ NotRecorded                 500   ours: the chat ran, its row could be kept nowhere
    ├─ InternalError               500   ours: a bug
    └─ UpstreamError               502   Groq's
       ├─ UpstreamUnreachable      502   no connection, or it broke before an answer
       ├─ UpstreamUnavailable      503   Groq's 408, 409, 425, 498 and every 5xx: a repeat may succeed
       ├─ UpstreamTimeout          504   one of the time limits
       ├─ UpstreamRateLimited      429   Groq's 429
       ├─ UpstreamRefusedOurKey    502   Groq's 401 and 403: the service's key, not the caller's
       ├─ UpstreamModelGone        502   Groq no longer serves a model that this service's settings name
       ├─ UpstreamRejected         4xx   Groq's refusal of what the caller asked, as Groq said it
       └─ UpstreamBroken           502   an answer that broke, stopped early or made no sense
          └─ UpstreamBrokenEarly   502   … before its first progress: nothing was sent, so it is retried

One handler renders them (`api/errors.py`), always as OpenAI's envelope.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from app.core.outcomes import Outcome


class ServiceError(Exception):
    """A failure with a name that clients can act upon.

    `upstream_error_body` is Groq's own error object, where there is one; the client receives it as Groq sent it.
    `retry_after` is in seconds. `upstream_request_id` is what Groq's support asks for.
    """

    status: int = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"
    outcome: ClassVar[Outcome] = Outcome.INTERNAL_ERROR
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        upstream_error_body: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.upstream_error_body = upstream_error_body
        self.retry_after = retry_after
        self.upstream_request_id: str | None = None

    @property
    def reported_code(self) -> str:
        """The code that the client receives: Groq's own, where Groq gave one."""
        code = (self.upstream_error_body or {}).get("code")
        return code if isinstance(code, str) else self.code

    def envelope(self) -> dict[str, Any]:
        """OpenAI's error object: `{"error": {"message", "type", "code", "param"}}`."""
        ours = {"message": self.message, "type": self.type, "code": self.reported_code, "param": self.param}
        theirs = {key: value for key, value in (self.upstream_error_body or {}).items() if value is not None}
        return {"error": ours | theirs | {"code": self.reported_code}}


class InvalidRequest(ServiceError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    outcome = Outcome.INVALID_REQUEST


class ModelNotFound(InvalidRequest):
    status = 404
    code = "model_not_found"


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "body_too_large"


class BodyTooSlow(InvalidRequest):
    status = 408
    code = "body_timeout"


class HeadersTooLarge(InvalidRequest):
    status = 431
    code = "headers_too_large"


class HeadersTooSlow(InvalidRequest):
    status = 408
    code = "header_timeout"


class Unauthorized(ServiceError):
    status = 401
    code = "invalid_api_key"
    type = "invalid_request_error"
    outcome = Outcome.REJECTED_UNAUTHORIZED


class QuotaExceeded(ServiceError):
    status = 429
    code = "quota_exceeded"
    type = "requests"
    outcome = Outcome.REJECTED_QUOTA

    def __init__(
        self, message: str, *, retry_after: float | None = None, rate_limits: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.rate_limits = rate_limits or {}


class TokenQuotaExceeded(QuotaExceeded):
    type = "tokens"


class StreamQuotaExceeded(QuotaExceeded):
    type = "streams"


class BodyBytesExceeded(QuotaExceeded):
    code = "body_bytes_exceeded"
    type = "bytes"


class QuotaUnavailable(ServiceError):
    status = 503
    code = "quota_unavailable"
    outcome = Outcome.REJECTED_UNAVAILABLE


class Overloaded(ServiceError):
    status = 503
    code = "overloaded"
    outcome = Outcome.REJECTED_OVERLOAD


class RowsUnavailable(ServiceError):
    status = 503
    code = "rows_unavailable"
    outcome = Outcome.REJECTED_UNAVAILABLE


class ServerDraining(ServiceError):
    status = 503
    code = "server_draining"
    outcome = Outcome.DRAINING


class ServerStopping(ServerDraining):
    outcome = Outcome.REJECTED_UNAVAILABLE


class ClientStalled(ServiceError):
    status = 499
    code = "client_stalled"
    outcome = Outcome.CLIENT_STALLED


class NotRecorded(ServiceError):
    code = "not_recorded"
    outcome = Outcome.NOT_RECORDED


class InternalError(ServiceError):
    pass


CONNECTION_CAUSES = (
    "dns_failure", "connect_refused", "connect_timeout", "tls_failure", "proxy_failure", "connection_reset",
    "connection_closed", "protocol_error", "connection_failed",
)  # fmt: skip
"""Why Groq could not be reached, or the connection broke. For the operator alone: no client's message has it."""


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


class UpstreamRefusedOurKey(UpstreamError):
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
