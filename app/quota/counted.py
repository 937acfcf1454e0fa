"""Quotas that are counted: in the process's memory, or in Redis, where all workers of all machines share them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import cast

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge

from app.core.config import Settings
from app.quota.access import Access, Probe, StoreAway
from app.quota.leases import RENEW_EVERY_S, Leases
from app.quota.ledger import Ledger
from app.quota.one_trip import OneTrip
from app.quota.places import Places
from app.quota.quota import Quota

_PREFIX = "quota"


@asynccontextmanager
async def counted(settings: Settings, probe: Probe) -> AsyncIterator[Quota]:
    """What the settings say. A Redis that is away is no reason not to start."""
    access = Access(probe=probe)
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            ledger = _in_memory(settings)
        else:
            redis = OneTrip(settings.redis_url.get_secret_value(), timeout_s=settings.redis_timeout_s)
            stack.push_async_callback(redis.close_all)
            leases = Leases(redis, settings.quota_streams, prefix=_PREFIX) if settings.quota_streams else None
            if leases:
                await stack.enter_async_context(_renewed(leases, access))
            ledger = _in_redis(settings, redis, leases)
        quota = Quota(ledger, access, fail_open=settings.quota_fail_open)
        stack.push_async_callback(quota.aclose)
        yield quota


def _in_memory(settings: Settings) -> Ledger:
    return Ledger(
        MemoryStorage(),
        requests=settings.quota_requests_per_minute,
        tokens=settings.quota_tokens_per_minute,
        streams=Places(settings.quota_streams) if settings.quota_streams else None,
    )


def _in_redis(settings: Settings, redis: OneTrip, leases: Leases | None) -> Ledger:
    # `limits` makes a client of its own; its scripts are to run on ours.
    storage = RedisStorage("redis://", implementation="redispy", key_prefix=_PREFIX)
    bridge = cast("RedispyBridge", storage.bridge)
    bridge.storage = redis
    bridge.register_scripts()
    return Ledger(
        storage,
        requests=settings.quota_requests_per_minute,
        tokens=settings.quota_tokens_per_minute,
        streams=leases,
    )


@asynccontextmanager
async def _renewed(leases: Leases, access: Access) -> AsyncIterator[None]:
    """Leases of the streams that run here do not end."""

    async def renew_all() -> None:
        await asyncio.gather(*(leases.renew(who, visits) for who, visits in leases.renewals()))

    async def renew_again_and_again() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if leases.renewals():
                with suppress(StoreAway):
                    await access.do("renew", renew_all)

    renewing = asyncio.create_task(renew_again_and_again(), name="quota leases")
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
