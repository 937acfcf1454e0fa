"""Whether the database answers, for all who want to know: anybody may ask, so that its connections are not theirs."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_TIMEOUT_S = 1
_FRESH_S = 1


class Pulse:
    """`ping` raises if the database does not answer. It runs once at a time, and each answer is good for a second."""

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping
        self._asking = asyncio.Lock()
        self._beats = False
        self._fresh_until = -float("inf")

    async def beats(self) -> bool:
        """Whether it does."""
        if time.monotonic() >= self._fresh_until:
            async with self._asking:
                if time.monotonic() >= self._fresh_until:  # or somebody has asked meanwhile
                    self._beats = await self._answers()
                    self._fresh_until = time.monotonic() + _FRESH_S
        return self._beats

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._ping()
        except Exception:  # noqa: BLE001 - whatever the driver raises, the answer is no
            return False
        return True
