"""Commits rows within a time limit, and tracks whether the database is available."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog

from app.core.ping import Ping, cancel_until_done
from app.core.record import ChatRecord
from app.db.errors import CommitError, CommitTimedOut, DatabaseUnavailable, NotMigrated, RowsRejected

_PING_INTERVAL_S = 0.5
_MAX_PING_INTERVAL_S = 16
_PING_TIMEOUT_S = 2

log = structlog.get_logger(__name__)


class RowInserter(Protocol):
    """Inserts rows into the database."""

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        """Commits all rows or none. Raises RowsRejected or DatabaseUnavailable."""

    async def ping(self) -> None:
        """Raises if rows cannot be inserted."""


class CommitEvents(Protocol):
    """The telemetry of commits. Its methods never raise."""

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        """Called for each commit; `began_ns` is Unix time, `failure` is `unavailable`, `rejected` or `timeout`."""


class Commits:
    """One per process, shared by the writer and the outbox replayer. `made` is the number of commits.

    `database` says whether rows can be inserted.
    """

    def __init__(self, rows: RowInserter, *, timeout_s: float, events: CommitEvents) -> None:
        self._rows = rows
        self._timeout_s = timeout_s
        self._events = events
        self.database = Availability(rows.ping)
        self._inserting: set[asyncio.Task[None]] = set()
        self.made = 0

    async def commit(self, records: Sequence[ChatRecord], *, live: bool = True) -> None:
        """Raises RowsRejected, or DatabaseUnavailable: the database may have stored the rows all the same.

        Only commits of `live` rows change `healthy`: a row from the outbox may itself be the cause of its failure.
        """
        began_ns, began = time.time_ns(), time.monotonic()
        inserting = self._insert(records)
        try:
            await asyncio.wait((inserting,), timeout=self._timeout_s)
        finally:
            if not inserting.done():
                # In the background: a driver may need long to give up a connection that does not answer.
                cancel_until_done(inserting)
        error = _error_of(inserting)
        took_s = time.monotonic() - began
        failure = None if error is None else error.reason if isinstance(error, CommitError) else CommitError.reason
        self._events.rows_committed(records, began_ns=began_ns, took_s=took_s, failure=failure)
        if error is None:
            self.made += 1
            self.database.on_success(live=live)
            return
        log.error("chat_log.commit_failed", rows=len(records), error=f"{type(error).__name__}: {error}")
        if live and not isinstance(error, RowsRejected):
            self.database.on_failure()
        raise error if isinstance(error, CommitError) else DatabaseUnavailable(str(error)) from error

    async def aclose(self) -> None:
        """Stops pings, and waits for cancelled commits, at most for the time limit."""
        await self.database.aclose()
        if self._inserting:
            await asyncio.wait(self._inserting, timeout=self._timeout_s)

    def _insert(self, records: Sequence[ChatRecord]) -> asyncio.Task[None]:
        inserting = asyncio.create_task(self._rows.insert(records))
        self._inserting.add(inserting)
        inserting.add_done_callback(self._on_done)
        return inserting

    def _on_done(self, inserting: asyncio.Task[None]) -> None:
        self._inserting.discard(inserting)
        _error_of(inserting)  # marks the exception as retrieved


def _error_of(inserting: asyncio.Task[None]) -> BaseException | None:
    if not inserting.done() or inserting.cancelled():
        return CommitTimedOut("the commit took too long")
    return inserting.exception()


class Availability:
    """Tracks whether the database is available: until a commit fails, and again when a ping succeeds.

    At the start it also checks whether the database is migrated: without its tables no row is ever stored there.
    `ping` raises while rows cannot be inserted.
    """

    def __init__(self, ping: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ping = Ping(ping)
        self._checking: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._pause_s = _PING_INTERVAL_S
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
            self._pause_s = _PING_INTERVAL_S

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
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, _MAX_PING_INTERVAL_S)
        while not self.healthy:
            await asyncio.sleep(pause_s)
            self.healthy = await self._ping.answers(within_s=_PING_TIMEOUT_S)
        log.info("database.recovered")
