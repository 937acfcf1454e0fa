"""What Redis adds: several workers count together, and what happens when it is slow, dies or comes back."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest

from app.core.errors import QuotaExceeded, QuotaUnavailable, StreamQuotaExceeded
from app.quota import counted, leases
from tests.quota.conftest import Failures, worker
from tests.quota.test_quota import asks, settled
from tests.support.ports import free_port
from tests.support.records import record
from tests.support.redis import RedisServer

pytestmark = pytest.mark.needs("redis-server")

ALL: dict[str, Any] = {"quota_requests_per_minute": 100, "quota_tokens_per_minute": 1000, "quota_streams": 5}


async def test_two_workers_share_what_a_caller_has(redis: RedisServer) -> None:
    quotas: dict[str, Any] = {"quota_requests_per_minute": 9, "quota_tokens_per_minute": 100, "quota_streams": 1}
    async with worker(redis_url=redis.url, **quotas) as one, worker(redis_url=redis.url, **quotas) as other:
        visit = uuid4()
        await one.enter("first", visit)
        with pytest.raises(StreamQuotaExceeded):
            await asks(other)
        one.ended(record(id=visit, client="first", prompt_tokens=10, completion_tokens=30))
        await settled()
        told = await asks(other)
        assert (told["x-ratelimit-remaining-requests"], told["x-ratelimit-remaining-tokens"]) == ("6", "60")


async def test_of_many_at_once_exactly_as_many_as_are_allowed_come_in(redis: RedisServer) -> None:
    quotas: dict[str, Any] = {"quota_requests_per_minute": 25}
    async with worker(redis_url=redis.url, **quotas) as one, worker(redis_url=redis.url, **quotas) as other:
        came = await asyncio.gather(*(asks(quota) for quota in [one, other] * 50), return_exceptions=True)
    assert sum(isinstance(each, dict) for each in came) == 25
    assert sum(isinstance(each, QuotaExceeded) for each in came) == 75


async def test_all_that_is_asked_at_the_door_is_one_round_trip_and_many_chats_share_one(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, **ALL) as quota:
        await quota.enter("first", uuid4())  # connects, and teaches Redis the scripts
        with redis.client() as inside:

            def reads() -> int:
                return int(inside.info("stats")["total_reads_processed"])

            before = reads()
            await quota.enter("first", uuid4())
            assert reads() - before - 1 == 1  # and the question itself
            before = reads()
            await asyncio.gather(*(quota.enter(f"client-{number}", uuid4()) for number in range(40)))
            assert reads() - before - 1 <= 3  # 40 chats that come together; a read of Redis takes 16 KB


async def test_redis_that_dies_lets_everyone_in_and_counts_again_when_it_is_back(
    redis: RedisServer, failures: Failures
) -> None:
    async with worker(failures, redis_url=redis.url, quota_requests_per_minute=2) as quota:
        assert (await asks(quota))["x-ratelimit-remaining-requests"] == "1"
        redis.kill()
        for _ in range(5):
            assert await asks(quota) == {}
        assert failures.operations.count("enter") == 5
        redis.start()
        deadline = time.monotonic() + 10
        while not (told := await asks(quota)):
            assert time.monotonic() < deadline, "it does not come back"
            await asyncio.sleep(0.1)
        assert told["x-ratelimit-remaining-requests"] == "1"  # what it had known is gone with it


async def test_streams_that_come_and_go_while_redis_is_away_leave_nothing_behind(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are let in uncounted; when it is back, those that still run count, and the others do not."""
    monkeypatch.setattr(counted, "RENEW_EVERY_S", 0.3)
    async with worker(redis_url=redis.url, quota_streams=2) as quota:
        redis.kill()
        for _ in range(5):
            await asks(quota)
        await quota.enter("first", uuid4())  # still runs
        redis.start()
        await asyncio.sleep(2)
        await quota.enter("first", uuid4())
        with pytest.raises(StreamQuotaExceeded):
            await asks(quota)


async def test_a_slow_redis_makes_few_wait_and_nobody_for_long(redis: RedisServer, failures: Failures) -> None:
    async with worker(failures, redis_url=redis.url, redis_timeout_s=0.2, **ALL) as quota:
        await asks(quota)
        await settled()
        redis.freeze()
        began = time.monotonic()
        for _ in range(20):
            assert await asks(quota) == {}
        assert time.monotonic() - began < 2  # 20 that waited each would be 4 s
        assert failures.operations.count("enter") == 20
        redis.thaw()


@pytest.mark.parametrize("away", ["refused", "wrong password"])
async def test_if_it_is_to_fail_closed_nobody_is_let_in(redis: RedisServer, failures: Failures, away: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}" if away == "refused" else redis.url.replace("a-password", "b-password")
    async with worker(failures, redis_url=url, quota_fail_open=False, **ALL) as quota:
        for _ in range(2):
            with pytest.raises(QuotaUnavailable) as refused:
                await asks(quota)
            assert refused.value.retry_after == 1
    assert failures.operations.count("enter") == 2


async def test_a_lease_that_is_renewed_lasts_and_one_that_is_not_ends(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 2)
    monkeypatch.setattr(counted, "RENEW_EVERY_S", 0.5)
    async with worker(redis_url=redis.url, quota_streams=1) as other:
        async with worker(redis_url=redis.url, quota_streams=1) as one:
            await one.enter("first", uuid4())
            await asyncio.sleep(3)
            with pytest.raises(StreamQuotaExceeded):
                await asks(other)
        await asyncio.sleep(3)  # as if it had been killed: nobody renews
        await asks(other)


async def test_a_redis_that_has_lost_its_memory_learns_who_runs(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "RENEW_EVERY_S", 0.3)
    async with worker(redis_url=redis.url, quota_streams=1) as quota:
        await quota.enter("first", uuid4())
        redis.kill()
        redis.start()
        await asyncio.sleep(2)
        with pytest.raises(StreamQuotaExceeded):
            await asks(quota)


async def test_an_idle_service_leaves_nothing_in_redis_for_ever(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, **ALL) as quota:
        visit = uuid4()
        await quota.enter("first", visit)
        quota.ended(record(id=visit, client="first", prompt_tokens=1, completion_tokens=1))
        await quota.enter("first", uuid4())
        with redis.client() as inside:
            keys = sorted(inside.keys())
            assert keys == ["quota:requests/first", "quota:streams/first", "quota:tokens/first"]
            assert all(0 < inside.ttl(key) <= 60 for key in keys)
