"""Whether the database answers, for all who want to know: anybody may ask, so that its connections are not theirs."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from app.core.ping import Ping

_TIMEOUT_S = 1
_FRESH_S = 1


class Pulse:
    """`ping` raises if the database does not answer. One runs at a time, and each answer is good for a second."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._asking = asyncio.Lock()
        self._beats = False
        self._fresh_until = -float("inf")

    async def beats(self) -> bool:
        """Whether it does."""
        if time.monotonic() >= self._fresh_until:
            async with self._asking:
                if time.monotonic() >= self._fresh_until:  # or somebody has asked meanwhile
                    self._beats = await self._ping.answers(within_s=_TIMEOUT_S)
                    self._fresh_until = time.monotonic() + _FRESH_S
        return self._beats
