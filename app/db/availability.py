"""Tracks whether the database is available: until a commit fails, and again when a ping succeeds.

At the start it also checks whether the database is migrated: without its tables no row is ever stored there.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from app.core.ping import Ping
from app.db.errors import NotMigrated

_PING_INTERVAL_S = 0.5
_MAX_PING_INTERVAL_S = 16
_DOUBLINGS = 5  # of the interval, up to its maximum
_PING_TIMEOUT_S = 2

log = structlog.get_logger(__name__)


class Availability:
    """`ping` raises while rows cannot be inserted."""

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._checking: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._failures_in_a_row = 0
        self.healthy = True
        self.migrated = True
        """False while the database answers without the tables of this version; True while that is not known.

        Once the tables were found it stays True: a newer version may migrate the database while this one serves, and
        this one's rows go to the outbox.
        """

    def start(self) -> None:
        """Checks the tables in the background: an unavailable database does not delay the start."""
        self._checking = asyncio.create_task(self._check_tables(), name="check of tables")

    def on_success(self, *, live: bool) -> None:
        """Called when a commit has succeeded, of live rows or of rows from the outbox: so the tables exist."""
        self.migrated = True
        if live:
            self._failures_in_a_row = 0

    def on_failure(self) -> None:
        """Called when a commit has failed for another reason than the content of its rows."""
        if self.healthy:
            self.healthy = False
            self._recovering = asyncio.create_task(self._recover(), name="database recovery")

    async def aclose(self) -> None:
        """Stops pings."""
        self._ping.stop()
        for task in (self._checking, self._recovering):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _check_tables(self) -> None:
        while not await self._ping.answers(within_s=_PING_TIMEOUT_S):
            failure = self._ping.failure
            if isinstance(failure, NotMigrated):
                if self.migrated:
                    log.error("database.not_migrated", error=str(failure), fix="run `make migrate`")
                self.migrated = False
            await asyncio.sleep(_PING_INTERVAL_S)
        self.migrated = True

    async def _recover(self) -> None:
        """Pings until the database answers. The interval doubles when commits fail again after a ping has succeeded."""
        doublings = min(self._failures_in_a_row, _DOUBLINGS)
        pause_s = min(_PING_INTERVAL_S * 2**doublings, _MAX_PING_INTERVAL_S)
        self._failures_in_a_row += 1
        while not self.healthy:
            await asyncio.sleep(pause_s)
            self.healthy = await self._ping.answers(within_s=_PING_TIMEOUT_S)
        log.info("database.recovered")
