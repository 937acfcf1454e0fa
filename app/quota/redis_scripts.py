"""Runs scripts in Redis. While it is unavailable, no chat waits for it longer than a moment, and most do not wait."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from app.quota.quota import StoreUnavailable

_PAUSE_S = 1
"""How long Redis is not used after a failure: otherwise each chat would wait for a Redis that is unavailable."""
_CONCURRENT = 16
"""Scripts that a worker runs at a time, each on a connection: one core cannot keep more of them busy."""
_STEPS = 20

log = structlog.get_logger(__name__)


class QuotaEvents(Protocol):
    """Receives what operators need to know. It never raises."""

    def quota_store_failed(self, operation: str) -> None:
        """An operation was not counted."""


def connect(url: str) -> Redis:
    """Returns a client of Redis that repeats no command: Redis may have counted it before its connection broke."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0))


class RedisScripts:
    """Limits the time of each script, and reports failures."""

    def __init__(self, redis: Redis, *, timeout_s: float, events: QuotaEvents) -> None:
        self.redis = redis
        self._timeout_s = timeout_s
        self._events = events
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._paused_until = 0.0
        self._available = True

    async def run(self, operation: str, script: AsyncScript, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Returns what the script returns. Raises StoreUnavailable, which counts as a failure of this operation."""
        loop = asyncio.get_running_loop()
        try:
            if loop.time() < self._paused_until:
                raise StoreUnavailable
            result = await self._run_in_time(script, keys, args)
        except (StoreUnavailable, RedisError, OSError) as exc:  # TimeoutError is an OSError
            self._events.quota_store_failed(operation)
            if not isinstance(exc, StoreUnavailable):
                self._paused_until = loop.time() + _PAUSE_S
                self._report(available=False, error=type(exc).__name__)  # its text may contain an address
            raise StoreUnavailable from exc
        self._report(available=True)
        return result

    async def aclose(self) -> None:
        """Closes all connections. Bounded in time."""
        with suppress(RedisError, OSError):
            await asyncio.wait_for(self.redis.aclose(), self._timeout_s)

    async def _run_in_time(self, script: AsyncScript, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Cancels the script after the time limit, and raises TimeoutError.

        The limit is a number of short waits. While a large body is parsed the event loop is blocked, and timers expire
        before an answer that has arrived is read: a wait that was blocked counts as one, the next reads the answer.
        """

        async def run() -> Any:
            async with self._turns:
                return await script(keys, args)

        task = asyncio.create_task(run())
        try:
            for _ in range(_STEPS):
                await asyncio.wait({task}, timeout=self._timeout_s / _STEPS)
                if task.done():
                    return task.result()
            raise TimeoutError
        finally:
            task.cancel()

    def _report(self, *, available: bool, error: str | None = None) -> None:
        if available and not self._available:
            log.info("quota_store.recovered")
        elif self._available and not available:
            log.warning("quota_store.failed", error=error)
        self._available = available
