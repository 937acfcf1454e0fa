"""Quotas while Redis is down, slow, restarted, or its answers are lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.core.errors import QuotaUnavailable, StreamQuotaExceeded
from app.quota import redis_store
from tests.quota.conftest import Failures, worker
from tests.quota.test_quota import ask, settled
from tests.quota.test_redis import ALL
from tests.support.ports import free_port
from tests.support.redis import RedisServer

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
def _frequent_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "RENEW_EVERY_S", 0.3)


async def test_chats_are_admitted_without_counting_while_redis_is_down(redis: RedisServer, failures: Failures) -> None:
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


@pytest.mark.usefixtures("_frequent_renewals")
async def test_running_chats_are_counted_again_after_an_outage_and_ended_ones_are_not(redis: RedisServer) -> None:
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


@pytest.mark.usefixtures("_frequent_renewals")
@pytest.mark.parametrize("fails", ["open", "closed"])
async def test_timed_out_commands_leave_no_leases(redis: RedisServer, failures: Failures, fails: str) -> None:
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


async def test_disconnect_while_redis_is_slow_leaves_no_lease(redis: RedisServer) -> None:
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


async def test_most_chats_do_not_wait_for_a_slow_redis(redis: RedisServer, failures: Failures) -> None:
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
async def test_chats_are_refused_while_redis_is_down_if_quotas_fail_closed(
    redis: RedisServer, failures: Failures, cause: str
) -> None:
    url = f"redis://127.0.0.1:{free_port()}" if cause == "refused" else redis.url.replace("a-password", "b-password")
    async with worker(failures, redis_url=url, quota_fail_open=False, **ALL) as quota:
        for _ in range(2):
            with pytest.raises(QuotaUnavailable) as refused:
                await ask(quota)
            assert refused.value.retry_after == 1
    assert failures.operations.count("enter") == 2


@pytest.mark.usefixtures("_frequent_renewals")
async def test_renewal_restores_leases_after_redis_lost_its_data(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, quota_streams=1) as quota:
        await quota.enter("first", uuid4())
        redis.kill()
        redis.start()
        await asyncio.sleep(2)
        with pytest.raises(StreamQuotaExceeded):
            await ask(quota)


async def test_command_is_not_repeated_when_its_answer_is_lost(redis: RedisServer, failures: Failures) -> None:
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


async def test_connection_that_broke_while_idle_is_replaced(redis: RedisServer) -> None:
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
