"""The errors of the service. Each has a code, an HTTP status, the outcome of its chat, and says if it is retryable.

    ServiceError
    ├─ InvalidRequest              400   caused by the client: the message names the field and the fix
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
    │  ├─ StreamQuotaExceeded      429   more running chats
    │  ├─ BodyBytesExceeded        429   more bytes of request bodies, or of stored chats, than the share of one client
    │  └─ ReadsExceeded            429   too many reads of stored chats at the same time
    ├─ QuotaUnavailable            503   quotas cannot be counted, and QUOTA_FAIL_OPEN is off
    ├─ Overloaded                  503   the worker runs as many chats, or holds as many bytes of bodies, as it may
    ├─ RowsUnavailable             503   no space for the row of a new chat; or stored chats could not be read
    ├─ ServerDraining              503   the server is stopping and admits no chat
    │  └─ DrainExpired             503   the time to finish was over before the chat had ended
    ├─ ClientStalled               499   the client accepted no data for CLIENT_WRITE_TIMEOUT_S
    ├─ PersistenceFailed           500   the chat ran, and its row could not be stored
    ├─ InternalError               500   a bug of the service
    └─ UpstreamError               502   caused by the provider (upstream.py)

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


class ReadsExceeded(QuotaExceeded):
    code = "reads_exceeded"
    type = "reads"


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
    """DrainExpired has the same code, because the client does the same: it sends the request again."""

    status = 503
    code = "server_draining"
    outcome = Outcome.REJECTED_UNAVAILABLE

    def __init__(self, message: str = "the server is stopping; send the request again") -> None:
        super().__init__(message, retry_after=1)


class DrainExpired(ServerDraining):
    outcome = Outcome.DRAINING


class ClientStalled(ServiceError):
    status = 499
    code = "client_stalled"
    outcome = Outcome.CLIENT_STALLED


class PersistenceFailed(ServiceError):
    code = "persistence_failed"
    outcome = Outcome.PERSISTENCE_FAILED

    def __init__(self, cause: BaseException | None = None) -> None:
        super().__init__("the chat could not be stored; treat it as not delivered and send it again")
        self.__cause__ = cause


class InternalError(ServiceError):
    """Its message hides the cause, which may quote a prompt."""

    def __init__(
        self,
        message: str = "the service failed; its operator finds the cause in the log under this request's id",
        *,
        cause: Exception | None = None,
    ) -> None:
        super().__init__(message)
        self.__cause__ = cause
