"""Tracks whether the database is available: until a commit fails, and again when a ping succeeds."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from app.core.ping import Ping

_PING_INTERVAL_S = 0.5
_MAX_PING_INTERVAL_S = 16
_DOUBLINGS = 8
_PING_TIMEOUT_S = 2

log = structlog.get_logger(__name__)


class Availability:
    """`ping` raises while rows cannot be inserted."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._recovering: asyncio.Task[None] | None = None
        self._failures_in_a_row = 0
        self.healthy = True

    def on_success(self) -> None:
        """Called when a commit has succeeded."""
        self._failures_in_a_row = 0

    def on_failure(self) -> None:
        """Called when a commit has failed for another reason than the content of its rows."""
        if self.healthy:
            self.healthy = False
            self._recovering = asyncio.create_task(self._recover(), name="database recovery")

    async def aclose(self) -> None:
        """Stops pings."""
        self._ping.stop()
        if self._recovering is not None:
            self._recovering.cancel()
            with suppress(asyncio.CancelledError):
                await self._recovering

    async def _recover(self) -> None:
        """Pings until the database answers, at an interval that doubles with each failure after a recovery."""
        doublings = min(self._failures_in_a_row, _DOUBLINGS)
        pause_s = min(_PING_INTERVAL_S * 2**doublings, _MAX_PING_INTERVAL_S)
        self._failures_in_a_row += 1
        while not self.healthy:
            await asyncio.sleep(pause_s)
            self.healthy = await self._ping.answers(within_s=_PING_TIMEOUT_S)
        log.info("database.recovered")
