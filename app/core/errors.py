"""The errors of the service. Each has a code, an HTTP status, the outcome of its chat, and says if it is retryable.

    ServiceError
    ├─ InvalidRequest              400   caused by the caller: the message names the field and the fix
    │  ├─ ModelNotFound            404
    │  ├─ ChatNotFound             404   no stored chat of the caller has this id
    │  ├─ ChatRunning              409   the chat is not stored yet
    │  ├─ BodyTooLarge             413
    │  ├─ BodyTooSlow              408
    │  ├─ HeadersTooLarge          431
    │  └─ HeadersTooSlow           408
    ├─ Unauthorized                401   no key of this service, or an unknown one
    ├─ QuotaExceeded               429   more requests than the key's quota
    │  ├─ TokenQuotaExceeded       429   more tokens
    │  ├─ StreamQuotaExceeded      429   more streams at the same time
    │  └─ BodyBytesExceeded        429   more bytes of request bodies than the share of one caller
    ├─ QuotaUnavailable            503   quotas cannot be counted, and QUOTA_FAIL_OPEN is off
    ├─ Overloaded                  503   all streams are in use
    ├─ RowsUnavailable             503   no space for the row of a new chat
    ├─ ServerDraining              503   the server stopped before the chat had ended
    │  └─ ServerStopping           503   the server is stopping and admits no chat
    ├─ ClientStalled               499   the client accepted no data for CLIENT_WRITE_TIMEOUT_S
    ├─ PersistenceFailed           500   the chat ran, and its row could not be stored
    ├─ InternalError               500   a bug of the service
    └─ UpstreamError               502   caused by the provider
       ├─ UpstreamUnreachable      502   no connection, or it closed before an answer
       ├─ UpstreamUnavailable      503   status 408, 409, 425, 498 or 5xx
       ├─ UpstreamTimeout          504   one of the time limits was reached
       ├─ UpstreamRateLimited      429   status 429
       ├─ UpstreamRefusedOurKey    502   status 401 or 403: the service's key, not the caller's
       ├─ UpstreamModelGone        502   the provider no longer serves a model of the settings
       ├─ UpstreamRejected         4xx   the provider refused the request; its error is passed on
       └─ UpstreamBroken           502   the answer broke off, stopped early or could not be read
          └─ UpstreamBrokenEarly   502   the same before its first progress, so that it is retried

`api/errors.py` renders them as OpenAI's error object.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from app.core.outcomes import Outcome


class ServiceError(Exception):
    """A failure with a code that clients can handle.

    `upstream_error_body` is the provider's error object, if there is one; the client receives it unchanged.
    `retry_after` is in seconds. `upstream_request_id` is the provider's id of the request, for its support.
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
        """The code that the client receives: the provider's own, if it sent one."""
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


class ChatNotFound(InvalidRequest):
    status = 404
    code = "chat_not_found"


class ChatRunning(InvalidRequest):
    status = 409
    code = "chat_running"


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


class PersistenceFailed(ServiceError):
    code = "persistence_failed"
    outcome = Outcome.PERSISTENCE_FAILED


class InternalError(ServiceError):
    pass


CONNECTION_CAUSES = (
    "dns_failure", "connect_refused", "connect_timeout", "tls_failure", "proxy_failure", "connection_reset",
    "connection_closed", "protocol_error", "connection_failed",
)  # fmt: skip
"""Why the connection to the provider failed. For operators: it is in logs, spans and rows, and never sent to
clients."""


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
