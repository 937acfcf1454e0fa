"""Counts in Redis for all workers: one command admits a request, and one charges its chat.

A stream (a running chat) has a lease that its worker renews: the leases of a killed worker expire, and a Redis that
lost its data learns from the next renewal which streams run. All times are Redis's own, as the clocks of workers
may differ; if its clock is set back, windows and leases that would last too long are dropped.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import astuple
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from app.core.background import background_task
from app.quota.quota import WINDOW_S, Limits, QuotaEvents, QuotaStatus, StoreUnavailable, Window

LEASE_S = 15
RENEW_EVERY_S = 5
"""Two renewals may fail before the lease of a running stream ends."""
_UNLIMITED = 10**15
_MAX_ENDED = 10_000
"""The most leases of a client that are released when Redis is available again; the others end by themselves."""
_PAUSE_S = 1
"""How long Redis is not used after a failure: otherwise each chat would wait for a Redis that is unavailable."""
_CONCURRENT = 16
"""Scripts that a worker runs at a time, each on a connection: one core cannot keep more of them busy."""
_STEPS = 20

log = structlog.get_logger(__name__)

# KEYS: requests, tokens, streams; a stream's score is the end of its lease. ARGV: window in ms, lease in s, …
_WINDOW = """
local now, window, lease = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1]), tonumber(ARGV[2])
local function count(key, cost)
  local used, left = redis.call('INCRBY', key, cost), redis.call('PTTL', key)
  if left >= 0 and left <= window then return used, left end
  if cost == 0 then redis.call('DEL', key) return 0, 0 end
  redis.call('SET', key, cost, 'PX', window)
  return cost, window
end
"""
# … cost, limits of requests, tokens and streams, id
_ENTER = f"""{_WINDOW}
local requests, requests_left = count(KEYS[1], tonumber(ARGV[3]))
local tokens, tokens_left = count(KEYS[2], 0)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + lease + 1, '+inf')
local may_stream = requests <= tonumber(ARGV[4]) and tokens < tonumber(ARGV[5])
  and redis.call('ZCARD', KEYS[3]) < tonumber(ARGV[6])
if may_stream and ARGV[6] ~= '{_UNLIMITED}' then
  redis.call('ZADD', KEYS[3], now + lease, ARGV[7])
  redis.call('EXPIRE', KEYS[3], lease)
end
return {{requests, requests_left, tokens, tokens_left, may_stream and 1 or 0}}
"""
# … tokens, number of streams that run, their ids, ids of streams that ended
_UPDATE = f"""{_WINDOW}
local tokens, last_running = tonumber(ARGV[3]), 4 + ARGV[4]
if tokens > 0 then count(KEYS[2], tokens) end
for i = 5, last_running do redis.call('ZADD', KEYS[3], now + lease, ARGV[i]) end
for i = last_running + 1, #ARGV do redis.call('ZREM', KEYS[3], ARGV[i]) end
if last_running > 4 then redis.call('EXPIRE', KEYS[3], lease) end
"""


class RedisScripts:
    """Runs scripts. While Redis is unavailable, no chat waits for it longer than a moment, and most do not wait."""

    def __init__(self, url: str, *, timeout_s: float, events: QuotaEvents) -> None:
        # No command is repeated: Redis may have counted it before its connection broke.
        self.redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._timeout_s = timeout_s
        self._events = events
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._paused_until = 0.0
        self._failing = False

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
                if not self._failing:
                    log.warning("quota_store.failed", error=type(exc).__name__)  # its text may contain an address
                self._failing = True
            raise StoreUnavailable from exc
        if self._failing:
            log.info("quota_store.recovered")
        self._failing = False
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


class RedisStore:
    """Satisfies `quota.Store`."""

    def __init__(self, scripts: RedisScripts, limits: Limits) -> None:
        self._limits = limits
        self._scripts = scripts
        self._enter_script = scripts.redis.register_script(_ENTER)
        self._update_script = scripts.redis.register_script(_UPDATE)
        self._running: defaultdict[str, set[str]] = defaultdict(set)
        """Streams for which Redis may have a lease: it was asked for one and has not refused."""
        self._ended: defaultdict[str, set[str]] = defaultdict(set)
        """Streams whose end Redis has not confirmed."""

    async def enter(self, client: str, request_id: str, *, cost: int) -> QuotaStatus:
        if self._limits.streams is not None:
            self._running[client].add(request_id)
        limits = [_UNLIMITED if limit is None else limit for limit in astuple(self._limits)]
        requests, requests_ms, tokens, tokens_ms, may_stream = await self._run(
            "enter", self._enter_script, client, cost, *limits, request_id
        )
        if not may_stream:
            self._running[client].discard(request_id)
        return QuotaStatus(
            self._limits, Window(requests, requests_ms / 1000), Window(tokens, tokens_ms / 1000), bool(may_stream)
        )

    def leave(self, client: str, request_id: str) -> None:
        if request_id in self._running[client]:
            self._running[client].discard(request_id)
            self._must_release(client, [request_id])

    async def settle(self, client: str, tokens: int) -> None:
        tokens = tokens if self._limits.tokens is not None else 0
        if tokens or self._ended[client]:
            await self._update("settle", client, tokens=tokens)

    def renewing(self) -> AbstractAsyncContextManager[None]:
        """Renews leases repeatedly."""
        return background_task(self._renew_repeatedly(), name="quota leases")

    async def _renew_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            for client in {*self._running, *self._ended}:
                with suppress(StoreUnavailable):
                    await self._renew(client)

    async def _renew(self, client: str) -> None:
        """Renews the leases of the streams that run here, and releases those whose release failed before."""
        running = frozenset(self._running[client])
        try:
            if running or self._ended[client]:
                await self._update("renew", client, running=running)
        finally:  # the renewal may reach Redis after the release of the same stream
            self._must_release(client, running - self._running[client])

    async def _update(self, operation: str, client: str, *, tokens: int = 0, running: Collection[str] = ()) -> None:
        ended = frozenset(self._ended[client])
        await self._run(operation, self._update_script, client, tokens, len(running), *running, *ended)
        self._ended[client] -= ended

    async def _run(self, operation: str, script: AsyncScript, client: str, *args: Any) -> Any:
        keys = [f"quota:{kind}/{client}" for kind in ("requests", "tokens", "streams")]
        return await self._scripts.run(operation, script, keys, [WINDOW_S * 1000, LEASE_S, *args])

    def _must_release(self, client: str, request_ids: Collection[str]) -> None:
        if len(self._ended[client]) < _MAX_ENDED:
            self._ended[client].update(request_ids)
