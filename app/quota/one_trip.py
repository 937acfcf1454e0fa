"""A client of Redis for which many commands are one round trip."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.quota.limit import within


def pool_of(url: str) -> ConnectionPool:
    """Connections that repeat nothing, and have no time limit: one of redis-py's would run out while the worker does
    something else.
    """
    return ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0))


@dataclass(slots=True)
class _Asked:
    command: tuple[Any, ...]
    answer: asyncio.Future[Any]


class OneTrip(Redis):
    """What is asked for in one turn of the event loop, by however many chats, travels together, in that order.

    A trip that has begun goes on when one of those who wait for it leaves: the others still do. It is not repeated
    when its connection breaks: Redis may have counted already, and would count it all twice. A connection that broke
    while nobody used it is found out before, and replaced.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        pool = pool_of(url)
        super().__init__(connection_pool=pool)
        self._pool = pool
        self._timeout_s = timeout_s
        self._asked: list[_Asked] = []
        self._trips: set[asyncio.Task[None]] = set()

    async def execute_command(self, *args: Any, **_: Any) -> Any:
        """As a pipeline takes it; raises what Redis says of this one."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._leave)
        asked = _Asked(args, loop.create_future())
        self._asked.append(asked)
        return await asked.answer

    async def close_all(self) -> None:
        """Waits for the trips that are under way: each has its time limit."""
        if self._trips:
            await asyncio.wait(self._trips)
        with suppress(TimeoutError):
            await within(self._timeout_s, self._pool.disconnect())

    def _leave(self) -> None:
        asked, self._asked = self._asked, []
        trip = asyncio.create_task(self._travel(asked), name="redis")
        self._trips.add(trip)
        trip.add_done_callback(self._trips.discard)

    async def _travel(self, asked: list[_Asked]) -> None:
        pipeline = self.pipeline(transaction=False)
        for each in asked:
            pipeline.execute_command(*each.command)
        try:
            answers = await within(self._timeout_s, pipeline.execute(raise_on_error=False))
        except (RedisError, OSError) as exc:
            answers = [exc] * len(asked)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - whatever it is, nobody is to wait for ever
            answers = [ConnectionError(type(exc).__name__)] * len(asked)
        for each, answer in zip(asked, answers, strict=True):
            if each.answer.done():
                continue  # who asked did not wait
            if isinstance(answer, Exception):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)
