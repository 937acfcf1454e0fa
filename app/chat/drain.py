"""How the service stops: no new chats, time for those that run to finish, and then an end to them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_Result = TypeVar("_Result")


class Drain:
    """One per process. `begun`: nobody is let in any longer. `over`: the time of those who were in is up."""

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self, grace_s: float) -> None:
        """Called in the event loop, at once when the process is told to stop."""
        if not self.begun:
            self.begun = True
            asyncio.get_running_loop().call_later(grace_s, self.end)

    def end(self) -> None:
        """Every wait that is under way times out, and every later one at once."""
        self.over = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(now)

    async def within(self, seconds: float, awaitable: Awaitable[_Result]) -> _Result:
        """Waits that long at the most. Raises TimeoutError, early if the drain is over."""
        async with asyncio.timeout(0 if self.over else seconds) as wait:
            self._waits.add(wait)
            try:
                return await awaitable
            finally:
                self._waits.discard(wait)
