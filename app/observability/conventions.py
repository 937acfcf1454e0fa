"""Names that several signals share: spans, events, and the closed sets of label values.

A request can add no label value. Models are those of the settings, those of Groq's catalogue once they are used, and
`other`; outcomes are those of the row and of requests without a row; clients are the names in API_KEYS, `anonymous` and
`other`. Attribute names stand in attributes.py.
"""

import os
from collections.abc import Iterable

from app import NAME
from app.core.errors import InternalError
from app.core.outcomes import REFUSALS, Outcome
from app.core.record import StoredIn
from app.core.upstream import UpstreamError, UpstreamModelGone

CHAT_SPAN = "chat {model}"
ATTEMPT_SPAN = "groq.attempt"
ADMISSION_SPAN = "chat.admission"
COMMIT_SPAN = "chat_logs.commit"

FIRST_TOKEN = "first_token"  # noqa: S105 - a token of text # nosec B105
RETRY = "retry"
STALL = "stall"
CLIENT_DISCONNECTED = "client_disconnected"
DRAINING = "draining"
STORED = {StoredIn.DATABASE: "committed", StoredIn.OUTBOX: "stored_in_outbox", StoredIn.REJECTED: "rejected"}

FAILED = frozenset(
    {
        Outcome.UPSTREAM_ERROR,
        Outcome.UPSTREAM_RATE_LIMITED,
        Outcome.UPSTREAM_TIMEOUT,
        Outcome.INTERNAL_ERROR,
        Outcome.PERSISTENCE_FAILED,
    }
)
"""Outcomes that are failures of Groq or of this service, unlike a client that leaves or a request that Groq refuses."""

WARNED = frozenset({Outcome.DRAINING, Outcome.REJECTED_OVERLOAD, Outcome.REJECTED_UNAVAILABLE})
"""Outcomes where the service stopped or had no capacity: the client may repeat the request."""

OTHER = "other"
ANONYMOUS = "anonymous"
GEN_AI_LABELS = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "groq"}
GEN_AI_TOKEN_TYPES = ("input", "output")
TOKEN_TYPES = ("input", "output", "cached_input", "reasoning")
# A bug before a chat began is reported as a refusal, too.
CLIENT_REFUSALS = (*sorted(REFUSALS - {Outcome.REJECTED_UNAUTHORIZED}), Outcome.INTERNAL_ERROR)
CONNECT, BEFORE_FIRST_TOKEN, MID_STREAM = FAILURE_PHASES = ("connect", "before_first_token", "mid_stream")
GROQ_PHASES = ("queue", "prompt", "completion")
QUOTA_OPERATIONS = ("enter", "settle", "renew")
COMMIT_FAILURES = ("unavailable", "rejected", "timeout")
"""`rejected`: the database rejected a row for its content."""


def _with_subclasses(error: type[UpstreamError]) -> Iterable[type[UpstreamError]]:
    yield error
    for subclass in error.__subclasses__():
        yield from _with_subclasses(subclass)


# A model that is gone is not retried, but the fallback model follows it.
RETRY_REASONS = tuple(
    sorted(
        error.code
        for error in _with_subclasses(UpstreamError)
        if error.retryable or issubclass(error, UpstreamModelGone)
    )
)
UPSTREAM_CODES = tuple(sorted({error.code for error in _with_subclasses(UpstreamError)}))
ATTEMPT_RESULTS = ("ok", "cancelled", InternalError.code, *UPSTREAM_CODES)


def service_name() -> str:
    """The service's name on traces and log lines, from OpenTelemetry's variable."""
    return os.environ.get("OTEL_SERVICE_NAME") or NAME
