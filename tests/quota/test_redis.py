"""What Redis adds: several workers count together, also when it is slow, restarts, or its answers are lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.core.errors import QuotaExceeded, QuotaUnavailable, StreamQuotaExceeded
from app.quota import redis_store
from tests.quota.conftest import Failures, worker
from tests.quota.test_quota import ask, chat, settled
from tests.support.ports import free_port
from tests.support.redis import RedisServer

pytestmark = pytest.mark.needs("redis-server")

ALL: dict[str, Any] = {"quota_requests_per_minute": 100, "quota_tokens_per_minute": 1000, "quota_streams": 5}


@pytest.fixture
def _renews_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "RENEW_EVERY_S", 0.3)


async def test_two_workers_share_what_a_client_has(redis: RedisServer) -> None:
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


async def test_of_many_concurrent_requests_exactly_the_limit_is_admitted(redis: RedisServer) -> None:
    limits: dict[str, Any] = {"quota_requests_per_minute": 25}
    async with worker(redis_url=redis.url, **limits) as one, worker(redis_url=redis.url, **limits) as other:
        results = await asyncio.gather(*(ask(quota) for quota in [one, other] * 50), return_exceptions=True)
    assert sum(isinstance(each, dict) for each in results) == 25
    assert sum(isinstance(each, QuotaExceeded) for each in results) == 75


async def test_a_chat_costs_two_commands_and_one_without_tokens_or_streams_costs_one(redis: RedisServer) -> None:
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


async def test_while_redis_is_down_chats_are_admitted_uncounted_until_it_is_back(
    redis: RedisServer, failures: Failures
) -> None:
    async with worker(failures, redis_url=redis.url, quota_requests_per_minute=2) as quota:
        assert (await ask(quota))["x-ratelimit-remaining-requests"] == "1"
        redis.kill()
        for _ in range(5):
            assert await ask(quota) == {}
        assert failures.operations == ["enter"] * 5
        redis.start()
        deadline = time.monotonic() + 10
        while not (headers := await ask(quota)):
            assert time.monotonic() < deadline, "it does not recover"
            await asyncio.sleep(0.1)
        assert headers["x-ratelimit-remaining-requests"] == "1"  # Redis lost its counts


@pytest.mark.usefixtures("_renews_often")
async def test_streams_that_ended_while_redis_was_down_are_not_counted_and_running_ones_are(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, quota_streams=2) as quota:
        redis.kill()
        for _ in range(5):
            await ask(quota)
        await quota.enter("first", uuid4())  # still runs
        redis.start()
        await asyncio.sleep(2)
        await quota.enter("first", uuid4())
        with pytest.raises(StreamQuotaExceeded):
            await ask(quota)


@pytest.mark.usefixtures("_renews_often")
@pytest.mark.parametrize("fails", ["open", "closed"])
async def test_commands_that_were_given_up_leave_no_streams_behind(
    redis: RedisServer, failures: Failures, fails: str
) -> None:
    """A frozen Redis executes them when it goes on, after their chats have ended."""
    async with worker(
        failures, redis_url=redis.url, redis_timeout_s=0.1, quota_streams=3, quota_fail_open=fails == "open"
    ) as quota:
        running = uuid4()
        await quota.enter("first", running)
        redis.freeze()
        for result in await asyncio.gather(*(ask(quota) for _ in range(3)), return_exceptions=True):
            assert result == {} if fails == "open" else isinstance(result, QuotaUnavailable)
        await asyncio.sleep(0.5)
        quota.leave(running)  # Redis is given up while it renews this one
        await settled()
        redis.thaw()
        await asyncio.sleep(2)
        with redis.client() as client:
            assert client.zrange("quota:streams/first", 0, -1) == []
    assert set(failures.operations) <= {"enter", "settle", "renew"}


async def test_a_client_that_leaves_while_redis_is_slow_leaves_no_stream_behind(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, redis_timeout_s=5, quota_streams=1) as quota:
        await ask(quota)
        redis.freeze()
        cancelled = asyncio.create_task(ask(quota))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await settled()
        redis.thaw()
        await settled()
        await ask(quota)


async def test_few_chats_wait_for_a_slow_redis_and_none_for_long(redis: RedisServer, failures: Failures) -> None:
    async with worker(failures, redis_url=redis.url, redis_timeout_s=0.2, **ALL) as quota:
        await ask(quota)
        await settled()
        redis.freeze()
        started = time.monotonic()
        for _ in range(20):
            assert await ask(quota) == {}
        assert time.monotonic() - started < 2  # 20 timeouts would be 4 s
        assert failures.operations.count("enter") == 20
        redis.thaw()


@pytest.mark.parametrize("cause", ["refused", "wrong password"])
async def test_where_quotas_fail_closed_chats_are_refused(redis: RedisServer, failures: Failures, cause: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}" if cause == "refused" else redis.url.replace("a-password", "b-password")
    async with worker(failures, redis_url=url, quota_fail_open=False, **ALL) as quota:
        for _ in range(2):
            with pytest.raises(QuotaUnavailable) as refused:
                await ask(quota)
            assert refused.value.retry_after == 1
    assert failures.operations.count("enter") == 2


async def test_a_lease_lasts_while_it_is_renewed_and_then_ends(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.usefixtures("_renews_often")
async def test_a_redis_that_lost_its_data_learns_which_streams_run(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, quota_streams=1) as quota:
        await quota.enter("first", uuid4())
        redis.kill()
        redis.start()
        await asyncio.sleep(2)
        with pytest.raises(StreamQuotaExceeded):
            await ask(quota)


async def test_windows_and_leases_from_before_the_clock_of_redis_was_set_back_are_dropped(redis: RedisServer) -> None:
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


async def test_nothing_stays_in_redis_for_ever(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, **ALL) as quota:
        await chat(quota, prompt=1, completion=1)
        await quota.enter("first", uuid4())
        with redis.client() as client:
            keys = sorted(client.keys())
            assert keys == ["quota:requests/first", "quota:streams/first", "quota:tokens/first"]
            assert all(0 < client.ttl(key) <= 60 for key in keys)


async def test_a_command_whose_answer_was_lost_is_not_repeated(redis: RedisServer, failures: Failures) -> None:
    async with (
        proxy(redis) as (lost, url),
        worker(failures, redis_url=url, quota_requests_per_minute=9) as quota,
    ):
        await ask(quota)
        lost.set()
        assert await ask(quota) == {}
        assert failures.operations == ["enter"]
        with redis.client() as client:
            assert client.get("quota:requests/first") == "2"


async def test_a_connection_that_broke_while_idle_is_replaced(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, quota_requests_per_minute=9) as quota:
        await ask(quota)
        with redis.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.1)
        assert (await ask(quota))["x-ratelimit-remaining-requests"] == "7"


@asynccontextmanager
async def proxy(redis: RedisServer) -> AsyncIterator[tuple[asyncio.Event, str]]:
    """Stands in front of Redis at this URL. Once the event is set, the next answer is lost with its connection."""
    port, lost = urlsplit(redis.url).port, asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_connection("127.0.0.1", port)
        while command := await reader.read(2**16):
            commands.write(command)
            answer = await answers.read(2**16)
            if lost.is_set():
                lost.clear()
                break
            writer.write(answer)
        commands.close()
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield lost, redis.url.replace(str(port), str(server.sockets[0].getsockname()[1]))
