"""Quotas in Redis: all workers count together, and what a killed worker held ends by itself."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import QuotaExceeded, StreamQuotaExceeded
from app.quota import redis_store
from tests.quota.conftest import worker
from tests.quota.test_quota import ask, chat, settled
from tests.support.redis import RedisServer

pytestmark = pytest.mark.needs("redis-server")


ALL: dict[str, Any] = {"quota_requests_per_minute": 100, "quota_tokens_per_minute": 1000, "quota_streams": 5}


async def test_two_workers_share_the_quota_of_a_client(redis: RedisServer) -> None:
    limits: dict[str, Any] = {"quota_requests_per_minute": 9, "quota_tokens_per_minute": 100, "quota_streams": 1}
    async with worker(redis_url=redis.url, **limits) as one, worker(redis_url=redis.url, **limits) as other:
        request_id = uuid4()
        await one.enter("first", request_id)
        with pytest.raises(StreamQuotaExceeded):
            await ask(other)
        one.leave(request_id)
        await settled()
        await chat(one, prompt=10, completion=30)
        headers = await ask(other)
        assert (headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]) == ("5", "60")


async def test_concurrent_requests_are_admitted_up_to_the_limit(redis: RedisServer) -> None:
    limits: dict[str, Any] = {"quota_requests_per_minute": 25}
    async with worker(redis_url=redis.url, **limits) as one, worker(redis_url=redis.url, **limits) as other:
        results = await asyncio.gather(*(ask(quota) for quota in [one, other] * 50), return_exceptions=True)
    assert sum(isinstance(each, dict) for each in results) == 25
    assert sum(isinstance(each, QuotaExceeded) for each in results) == 75


async def test_chat_needs_two_commands_or_one_with_a_limit_of_requests_only(redis: RedisServer) -> None:
    async with (
        worker(redis_url=redis.url, **ALL) as all_limits,
        worker(redis_url=redis.url, quota_requests_per_minute=100) as requests_only,
    ):
        for quota, commands in ((all_limits, 2), (requests_only, 1)):
            await chat(quota, prompt=1, completion=1)  # connects, and loads the scripts
            with redis.client() as client:
                before = client.info("commandstats")
                await chat(quota, prompt=1, completion=1)
                calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
                assert calls - before["cmdstat_evalsha"]["calls"] == commands


async def test_lease_ends_when_it_is_no_longer_renewed(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "LEASE_S", 2)
    monkeypatch.setattr(redis_store, "RENEW_EVERY_S", 0.5)
    async with worker(redis_url=redis.url, quota_streams=1) as other:
        async with worker(redis_url=redis.url, quota_streams=1) as one:
            await one.enter("first", uuid4())
            await asyncio.sleep(3)
            with pytest.raises(StreamQuotaExceeded):
                await ask(other)
        await asyncio.sleep(3)  # as if it had been killed
        await ask(other)


async def test_windows_and_leases_are_dropped_when_the_clock_of_redis_is_set_back(redis: RedisServer) -> None:
    """Set back by two hours, they would last for two more hours."""
    async with worker(
        redis_url=redis.url, quota_requests_per_minute=2, quota_tokens_per_minute=10, quota_streams=1
    ) as quota:
        await chat(quota, prompt=5, completion=5)
        with redis.client() as client:
            seconds, _ = client.time()
            client.zadd("quota:streams/first", {"of a killed worker": seconds + 7200})
            for kind in ("requests", "tokens", "streams"):
                assert client.expire(f"quota:{kind}/first", 7200)
        headers = await ask(quota)
        assert (headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]) == ("1", "10")
        assert 58 <= float(headers["x-ratelimit-reset-requests"][:-1]) <= 60


async def test_every_key_in_redis_expires(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, **ALL) as quota:
        await chat(quota, prompt=1, completion=1)
        await quota.enter("first", uuid4())
        with redis.client() as client:
            keys = sorted(client.keys())
            assert keys == ["quota:requests/first", "quota:streams/first", "quota:tokens/first"]
            assert all(0 < client.ttl(key) <= 60 for key in keys)
