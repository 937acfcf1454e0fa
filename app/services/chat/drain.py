"""The drain of a process that stops: no new chats, time for running chats to finish, then an end to them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from app.core.timeout import ReusableTimeout

_Result = TypeVar("_Result")


class Drain:
    """One per process. `started`: no chat is admitted any longer. `expired`: the grace period is over."""

    def __init__(self) -> None:
        self.started = False
        self.expired = False
        self._timeouts: set[ReusableTimeout] = set()

    def start(self, grace_s: float) -> None:
        """Starts the grace period. Called on the event loop after SIGTERM or SIGINT; in gunicorn with a delay."""
        if not self.started:
            self.started = True
            asyncio.get_running_loop().call_later(grace_s, self.expire)

    def expire(self) -> None:
        """Ends every current wait with a timeout, and every later one at once."""
        self.expired = True
        for timeout in self._timeouts:
            timeout.expire()

    def timeout(self) -> ReusableTimeout:
        """Returns a timeout whose waits also end when the drain expires. Hand it back with `release`."""
        timeout = ReusableTimeout()
        self._timeouts.add(timeout)
        return timeout

    def release(self, timeout: ReusableTimeout) -> None:
        """Closes the timeout. No wait may follow."""
        self._timeouts.discard(timeout)
        timeout.close()

    async def wait(self, awaitable: Awaitable[_Result], *, timeout_s: float) -> _Result:
        """Waits at most that long. Raises TimeoutError, early if the drain expires."""
        timeout = self.timeout()
        try:
            with timeout.limit(0 if self.expired else timeout_s):
                return await awaitable
        finally:
            self.release(timeout)
