"""Whether the database takes rows: it does until a commit fails, and again once it answers."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from app.core.ping import Ping

_ASK_AGAIN_S = 0.5
_ASK_AGAIN_AT_LEAST_EVERY_S = 16
_DOUBLINGS = 8
_ANSWER_WITHIN_S = 2

log = structlog.get_logger(__name__)


class Availability:
    """`ping` raises as long as rows cannot be kept."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._recovering: asyncio.Task[None] | None = None
        self._relapses = 0
        self.well = True

    def kept(self) -> None:
        """A commit has succeeded."""
        self._relapses = 0

    def lost(self) -> None:
        """A commit has failed, and not for what is in its rows."""
        if self.well:
            self.well = False
            self._recovering = asyncio.create_task(self._recover(), name="database recovery")

    async def aclose(self) -> None:
        """Stops asking."""
        self._ping.stop()
        if self._recovering is not None:
            self._recovering.cancel()
            with suppress(asyncio.CancelledError):
                await self._recovering

    async def _recover(self) -> None:
        """What answers and then fails again is given more time before the next chats are risked."""
        doublings = min(self._relapses, _DOUBLINGS)
        pause_s = min(_ASK_AGAIN_S * 2**doublings, _ASK_AGAIN_AT_LEAST_EVERY_S)
        self._relapses += 1
        while not self.well:
            await asyncio.sleep(pause_s)
            self.well = await self._ping.answers(within_s=_ANSWER_WITHIN_S)
        log.info("database.back")
