"""How a chat can end: the same words in the row, the log, the metric and the span."""

from enum import StrEnum


class Outcome(StrEnum):
    """Those in the first group have a row, those in the second have none."""

    COMPLETED = "completed"
    CLIENT_DISCONNECTED = "client_disconnected"
    CLIENT_STALLED = "client_stalled"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_REJECTED = "upstream_rejected"
    INTERNAL_ERROR = "internal_error"

    INVALID_REQUEST = "invalid_request"
    REJECTED_OVERLOAD = "rejected_overload"
    NOT_RECORDED = "not_recorded"
