"""Commits rows within a time limit, and tracks whether the database is available."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import structlog

from app.core.ping import cancel_until_done
from app.core.record import ChatRecord
from app.db.availability import Availability
from app.db.errors import CommitError, CommitTimedOut, DatabaseUnavailable, RowsRejected

log = structlog.get_logger(__name__)


class RowInserter(Protocol):
    """Inserts rows into the database."""

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        """Commits all rows or none. Raises RowsRejected or DatabaseUnavailable."""
        ...

    async def ping(self) -> None:
        """Raises if rows cannot be inserted."""
        ...


class CommitEvents(Protocol):
    """The telemetry of commits. Its methods never raise."""

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        """Called for each commit; `began_ns` is Unix time, `failure` is `unavailable`, `rejected` or `timeout`."""
        ...


class Commits:
    """One per process, shared by the writer and the outbox replayer. `made` is the number of commits."""

    def __init__(self, rows: RowInserter, *, timeout_s: float, events: CommitEvents) -> None:
        self._rows = rows
        self._timeout_s = timeout_s
        self._events = events
        self._database = Availability(rows.ping)
        self._inserting: set[asyncio.Task[None]] = set()
        self.made = 0

    @property
    def healthy(self) -> bool:
        """False from a failed commit until the database answers again."""
        return self._database.healthy

    @property
    def migrated(self) -> bool:
        """False while the database answers without the tables of this version; True while that is not known."""
        return self._database.migrated

    def start(self) -> None:
        """Starts the check of the tables."""
        self._database.start()

    async def commit(self, records: Sequence[ChatRecord], *, live: bool = True) -> None:
        """Raises RowsRejected, or DatabaseUnavailable: the database may have stored the rows all the same.

        Only commits of `live` rows change `healthy`: a row from the outbox may itself be the cause of its failure.
        """
        began_ns, began = time.time_ns(), time.monotonic()
        inserting = self._insert(records)
        try:
            await asyncio.wait((inserting,), timeout=self._timeout_s)
        finally:
            # Cancels once a second in the background until the insert has ended. It is not awaited, because a driver
            # may need long to give up a connection that does not answer.
            cancel_until_done(inserting)
        error = _error_of(inserting)
        took_s = time.monotonic() - began
        self._events.rows_committed(records, began_ns=began_ns, took_s=took_s, failure=_failure(error))
        if error is None:
            self.made += 1
            self._database.on_success(live=live)
            return
        log.error("chat_log.commit_failed", rows=len(records), error=f"{type(error).__name__}: {error}")
        if live and not isinstance(error, RowsRejected):
            self._database.on_failure()
        raise error if isinstance(error, CommitError) else DatabaseUnavailable(str(error)) from error

    async def aclose(self) -> None:
        """Stops pings, and waits for cancelled commits, at most for the time limit."""
        await self._database.aclose()
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


def _failure(error: BaseException | None) -> str | None:
    match error:
        case None:
            return None
        case CommitTimedOut():
            return "timeout"
        case RowsRejected():
            return "rejected"
        case _:
            return "unavailable"
