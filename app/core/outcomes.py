"""The outcomes of a request for a chat, which rows, logs, metrics and spans share."""

from enum import StrEnum


class Outcome(StrEnum):
    """Outcomes in the first group have a row, those in the second have none."""

    COMPLETED = "completed"
    CLIENT_DISCONNECTED = "client_disconnected"
    CLIENT_STALLED = "client_stalled"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_RATE_LIMITED = "upstream_rate_limited"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_REJECTED = "upstream_rejected"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"

    INVALID_REQUEST = "invalid_request"
    REJECTED_UNAUTHORIZED = "rejected_unauthorized"
    REJECTED_QUOTA = "rejected_quota"
    REJECTED_OVERLOAD = "rejected_overload"
    REJECTED_UNAVAILABLE = "rejected_unavailable"
    PERSISTENCE_FAILED = "persistence_failed"


REFUSALS = frozenset(
    {
        Outcome.INVALID_REQUEST,
        Outcome.REJECTED_UNAUTHORIZED,
        Outcome.REJECTED_QUOTA,
        Outcome.REJECTED_OVERLOAD,
        Outcome.REJECTED_UNAVAILABLE,
    }
)
"""Outcomes of requests that the service refused: no chat was started."""

WITHOUT_ROW = REFUSALS | {Outcome.PERSISTENCE_FAILED}
