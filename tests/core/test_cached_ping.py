"""The cached ping of a database, with a fake database."""

import asyncio

from app.core.ping import _FRESH_S, CachedPing


class Database:
    """Answers once `may_answer` is set; fails unless `healthy`."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.healthy = True
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        await self.may_answer.wait()
        if not self.healthy:
            raise ConnectionError("unavailable")


async def test_concurrent_callers_share_one_ping() -> None:
    """Otherwise they would take the connections that rows are written on."""
    database = Database()
    cached_ping = CachedPing(database.ping)
    callers = [asyncio.ensure_future(cached_ping.ok()) for _ in range(1000)]
    await asyncio.sleep(0.01)
    assert database.pings == 1
    database.may_answer.set()
    assert await asyncio.gather(*callers) == [True] * 1000
    assert await cached_ping.ok()
    assert database.pings == 1


async def test_result_is_reused_for_a_second() -> None:
    database = Database()
    database.may_answer.set()
    cached_ping = CachedPing(database.ping)
    assert await cached_ping.ok()
    database.healthy = False
    assert await cached_ping.ok()
    await asyncio.sleep(_FRESH_S)
    assert not await cached_ping.ok()
    database.healthy = True
    await asyncio.sleep(_FRESH_S)
    assert await cached_ping.ok()


async def test_cancelled_caller_does_not_cancel_the_ping_of_others() -> None:
    database = Database()
    cached_ping = CachedPing(database.ping)
    first, second = (asyncio.ensure_future(cached_ping.ok()) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    database.may_answer.set()
    assert await second


async def test_ping_without_an_answer_fails_after_its_timeout() -> None:
    assert not await CachedPing(Database().ping).ok()
