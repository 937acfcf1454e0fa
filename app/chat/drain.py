"""How the service stops: no new chats, time for those that run to finish, and then an end to them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from app.chat.waiting import WaitLimit

_Result = TypeVar("_Result")


class Drain:
    """One per process. `begun`: nobody is let in any longer. `over`: the time of those who were in is up."""

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self._limits: set[WaitLimit] = set()

    def begin(self, grace_s: float) -> None:
        """Called in the event loop, at once when the process is told to stop."""
        if not self.begun:
            self.begun = True
            asyncio.get_running_loop().call_later(grace_s, self.end)

    def end(self) -> None:
        """Every wait that is under way times out, and every later one at once."""
        self.over = True
        for limit in self._limits:
            limit.expire()

    def limit(self) -> WaitLimit:
        """For waits that the end of the drain is to end too, until it is released."""
        limit = WaitLimit()
        self._limits.add(limit)
        return limit

    def release(self, limit: WaitLimit) -> None:
        """No wait will follow."""
        self._limits.discard(limit)
        limit.close()

    async def within(self, seconds: float, awaitable: Awaitable[_Result]) -> _Result:
        """Waits that long at the most. Raises TimeoutError, early if the drain is over."""
        limit = self.limit()
        try:
            with limit.of(0 if self.over else seconds):
                return await awaitable
        finally:
            self.release(limit)
