"""The values that labels may have: closed sets, so that no request can make a series.

Models are those that the settings name, those of Groq's catalogue once they are used, and `other`; outcomes are those
of the row, and of requests without one.
"""

from collections.abc import Iterable

from app.core.errors import InternalError, UpstreamError

OTHER_MODEL = "other"
TOKEN_TYPES = ("input", "output", "cached_input", "reasoning")
PHASES = ("queue", "prompt", "completion")
POOL_STATES = ("in_use", "idle")
QUOTA_OPERATIONS = ("enter", "settle", "renew")
COMMIT_FAILURES = ("away", "refused", "timeout")


def _failures(error: type[UpstreamError]) -> Iterable[type[UpstreamError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _failures(kind)


RETRY_REASONS = tuple(sorted(kind.code for kind in _failures(UpstreamError) if kind.retryable))
ATTEMPT_RESULTS = (
    "ok",
    "cancelled",
    InternalError.code,
    *sorted({kind.code for kind in _failures(UpstreamError)}),
)
