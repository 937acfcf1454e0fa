"""Pings a backend: one ping at a time, bounded in time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

_AGAIN_S = 1
_PING_TIMEOUT_S = 1
_FRESH_S = 1


class Ping:
    """Runs `ping`, which raises if the backend does not answer.

    A ping that takes too long is cancelled without waiting for the end of the cancellation, since a driver may need
    long to give up its connection. No other ping starts until then, so pings cannot pile up.
    """

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._start = ping
        self._running: asyncio.Task[None] | None = None
        self._overdue = False
        self.failure: BaseException | None = None
        """What the last ping that ended has raised."""

    async def answers(self, *, within_s: float) -> bool:
        """Whether the backend answers in time. Callers during a ping share its result."""
        if self._overdue:
            return False
        if self._running is None:
            self._running = asyncio.create_task(self._start(), name="ping")
            self._running.add_done_callback(self._on_done)
        ping = self._running
        await asyncio.wait((ping,), timeout=within_s)
        if not ping.done():
            if not self._overdue:  # by another caller
                self._overdue = True
                cancel_until_done(ping)
            return False
        return not ping.cancelled() and ping.exception() is None

    def stop(self) -> None:
        """Cancels a running ping."""
        if self._running is not None:
            cancel_until_done(self._running)

    def _on_done(self, ping: asyncio.Task[None]) -> None:
        self._running, self._overdue = None, False
        self.failure = None if ping.cancelled() else ping.exception()


def cancel_until_done(task: asyncio.Task[None]) -> None:
    """Cancels the task now and once a second: asyncpg can lose a cancellation while it waits to send a large batch."""
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(_AGAIN_S, cancel_until_done, task)


class CachedPing:
    """Pings a database for any number of callers: one ping at a time, and each answer is reused for a second."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._ok = False
        self._fresh_until = -float("inf")

    async def ok(self) -> bool:
        """Whether the database answered within a second."""
        if time.monotonic() >= self._fresh_until:
            self._ok = await self._ping.answers(within_s=_PING_TIMEOUT_S)
            self._fresh_until = time.monotonic() + _FRESH_S
        return self._ok
