"""How often one caller may ask: requests a minute, counted by the `limits` library in this worker's memory."""

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.core.errors import QuotaExceeded

_ANYONE = "anyone"


class Quota:
    """`requests_per_minute` None lets everyone ask as often as they like."""

    def __init__(self, *, requests_per_minute: int | None) -> None:
        self._limit = None if requests_per_minute is None else RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def spend(self, client: str | None) -> None:
        """One request of a caller's. Raises QuotaExceeded."""
        if self._limit is None or await self._limiter.hit(self._limit, client or _ANYONE):
            return
        stats = await self._limiter.get_window_stats(self._limit, client or _ANYONE)
        message = f"no more than {self._limit.amount} requests a minute for each key; wait for 'Retry-After' seconds"
        raise QuotaExceeded(message, retry_after=max(1.0, stats.reset_time - time.time()))
