"""Whether something answers, asked by one question at a time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

_AGAIN_S = 1
_PING_TIMEOUT_S = 1
_FRESH_S = 1


class Ping:
    """`ask` raises if there is no good answer.

    A question that got no answer in time is cancelled, and nobody waits for the end of that: a driver may need long to
    give up its connection. Until it has, no other question is asked, so that they cannot pile up.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._overdue = False

    async def answers(self, *, within_s: float) -> bool:
        """Whether it does. Whoever asks while a question is under way gets its answer."""
        if self._overdue:
            return False
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="ping")
            self._asking.add_done_callback(self._over)
        asking = self._asking
        await asyncio.wait((asking,), timeout=within_s)
        if not asking.done():
            self._overdue = True
            cancel_until_done(asking)
            return False
        return not asking.cancelled() and asking.exception() is None

    def stop(self) -> None:
        """Cancels the question that is under way."""
        if self._asking is not None:
            cancel_until_done(self._asking)

    def _over(self, asking: asyncio.Task[None]) -> None:
        self._asking, self._overdue = None, False
        if not asking.cancelled():
            asking.exception()  # seen, even if nobody waits any longer


def cancel_until_done(task: asyncio.Task[None]) -> None:
    """Cancels it now and once a second: asyncpg may miss it, where it waits until it can send a large batch."""
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(_AGAIN_S, cancel_until_done, task)


class CachedPing:
    """Pings a database for any number of callers: one ping at a time, and each answer is reused for a second."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._lock = asyncio.Lock()
        self._ok = False
        self._fresh_until = -float("inf")

    async def ok(self) -> bool:
        """Whether the database answered within a second."""
        if time.monotonic() >= self._fresh_until:
            async with self._lock:
                if time.monotonic() >= self._fresh_until:  # another caller may have pinged it meanwhile
                    self._ok = await self._ping.answers(within_s=_PING_TIMEOUT_S)
                    self._fresh_until = time.monotonic() + _FRESH_S
        return self._ok
