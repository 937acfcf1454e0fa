"""One attempt: one request to the provider, and its result."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.errors import InternalError, ServiceError
from app.core.upstream_errors import UpstreamError


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

    @property
    def cause(self) -> str | None:
        """Why the connection failed, one of `core.upstream_errors.CONNECTION_CAUSES`; None if it did not."""
        return self.error.cause if isinstance(self.error, UpstreamError) else None

    @property
    def result(self) -> str:
        """`ok`, the code of the error, or `cancelled`."""
        if self.error is None:
            return "ok"
        if isinstance(self.error, asyncio.CancelledError):
            return "cancelled"
        return type(self.error).code if isinstance(self.error, ServiceError) else InternalError.code
