"""What one trip to Redis counts, though it is late, breaks off or never begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.core.errors import QuotaUnavailable
from app.quota.leases import Leases
from app.quota.one_trip import OneTrip
from tests.quota.conftest import Failures, worker
from tests.quota.test_quota import asks
from tests.support.redis import RedisServer


class Between:
    """Stands between a worker and its Redis. If it `breaks`, what is asked next reaches Redis, and no answer comes."""

    def __init__(self, port: int) -> None:
        self.breaks = False
        self._port = port

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, redis = await asyncio.open_connection("127.0.0.1", self._port)
        while asked := await reader.read(2**16):
            redis.write(asked)
            answer = await answers.read(2**16)
            if self.breaks:
                self.breaks = False
                break
            writer.write(answer)
        redis.close()
        writer.close()


@asynccontextmanager
async def between(redis: RedisServer) -> AsyncIterator[tuple[Between, str]]:
    """And the URL to come by it."""
    port = urlsplit(redis.url).port
    assert port is not None
    each = Between(port)
    async with await asyncio.start_server(each.meet, "127.0.0.1", 0) as server:
        yield each, redis.url.replace(str(port), str(server.sockets[0].getsockname()[1]))


@pytest.mark.needs("redis-server")
async def test_what_redis_may_have_counted_is_not_asked_again(redis: RedisServer, failures: Failures) -> None:
    async with between(redis) as (way, url), worker(failures, redis_url=url, quota_requests_per_minute=9) as quota:
        await asks(quota)
        way.breaks = True
        assert await asks(quota) == {}
        assert "enter" in failures.operations
        with redis.client() as inside:
            assert inside.get("quota:requests/first") == "2"


@pytest.mark.needs("redis-server")
async def test_a_connection_that_broke_while_nobody_used_it_costs_no_count(redis: RedisServer) -> None:
    async with worker(redis_url=redis.url, quota_requests_per_minute=9) as quota:
        await asks(quota)
        with redis.client() as inside:
            inside.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.1)
        assert (await asks(quota))["x-ratelimit-remaining-requests"] == "7"


@pytest.mark.needs("redis-server")
async def test_who_asks_again_for_the_place_that_it_has_keeps_it(redis: RedisServer) -> None:
    client = OneTrip(redis.url, timeout_s=1)
    leases = Leases(client, 1, prefix="quota")
    assert [await leases.take("first", visit) for visit in ("one", "one", "other")] == [True, True, False]
    await client.close_all()


async def test_a_client_of_redis_that_cannot_even_begin_is_a_redis_that_is_away(failures: Failures) -> None:
    async with worker(
        failures, redis_url="redis://127.0.0.1/0?foo=1", quota_fail_open=False, quota_requests_per_minute=9
    ) as quota:
        with pytest.raises(QuotaUnavailable):
            await asyncio.wait_for(quota.enter("first", uuid4()), 5)
    assert failures.operations == ["enter"]
