"""Whether the database takes rows: it does until a commit fails, and again once it answers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

_ASK_AGAIN_S = 0.5
_ANSWER_WITHIN_S = 2

log = structlog.get_logger(__name__)


class Availability:
    """`ping` raises as long as rows cannot be kept."""

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping
        self._recovering: asyncio.Task[None] | None = None
        self.well = True

    def lost(self) -> None:
        """A commit has failed, and not for what is in its rows."""
        if self.well:
            self.well = False
            self._recovering = asyncio.create_task(self._recover(), name="database recovery")

    async def aclose(self) -> None:
        """Stops asking."""
        if self._recovering is not None:
            self._recovering.cancel()
            with suppress(asyncio.CancelledError):
                await self._recovering

    async def _recover(self) -> None:
        while not self.well:
            await asyncio.sleep(_ASK_AGAIN_S)
            with suppress(Exception):  # whatever a driver raises, the database is not back yet
                async with asyncio.timeout(_ANSWER_WITHIN_S):
                    await self._ping()
                self.well = True
        log.info("database.back")
