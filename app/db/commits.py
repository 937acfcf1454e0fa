"""One commit within its time limit, and what it tells of the database."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import structlog

from app.core.ping import cancel_until_done
from app.core.record import ChatRecord
from app.db.availability import Availability
from app.db.errors import CommitError, CommitTimedOut, DatabaseAway, RowsRefused

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """What is needed of a repository."""

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        """Commits all of them or none. Raises RowsRefused or DatabaseAway."""
        ...

    async def ping(self) -> None:
        """Raises if rows cannot be kept."""
        ...


class Probe(Protocol):
    """Who watches. It never raises."""

    def rows_committed(
        self, records: Sequence[ChatRecord], *, began_ns: int, took_s: float, failure: str | None
    ) -> None:
        """Once for each commit; `began_ns` is Unix time, `failure` is `away`, `refused` or `timeout`."""
        ...


class Commits:
    """One per process; the writer and the outbox replayer share what it knows.

    `made`: how many commits there were.
    """

    def __init__(self, rows: Rows, *, timeout_s: float, probe: Probe) -> None:
        self._rows = rows
        self._timeout_s = timeout_s
        self._probe = probe
        self._database = Availability(rows.ping)
        self._inserting: set[asyncio.Task[None]] = set()
        self.made = 0

    @property
    def well(self) -> bool:
        """False from a commit that failed until the database answers again."""
        return self._database.well

    async def commit(self, records: Sequence[ChatRecord], *, live: bool = True) -> None:
        """Raises RowsRefused, or DatabaseAway: then the database may have taken them all the same.

        The rows of chats that end now are `live`, and speak for the database; old ones may be what is wrong themselves.
        """
        began_ns, began = time.time_ns(), time.monotonic()
        inserting = self._insert(records)
        try:
            await asyncio.wait((inserting,), timeout=self._timeout_s)
        finally:
            # A driver may need long to give up a connection that does not answer; nobody waits for that.
            cancel_until_done(inserting)
        error = _error_of(inserting)
        took_s = time.monotonic() - began
        self._probe.rows_committed(records, began_ns=began_ns, took_s=took_s, failure=_failure(error))
        if error is None:
            self.made += 1
            if live:
                self._database.kept()
            return
        log.error("chat_log.commit_failed", rows=len(records), error=f"{type(error).__name__}: {error}")
        if live and not isinstance(error, RowsRefused):
            self._database.lost()
        raise error if isinstance(error, CommitError) else DatabaseAway(str(error)) from error

    async def aclose(self) -> None:
        """Stops asking for the database, and waits for commits that were given up, but not for ever."""
        await self._database.aclose()
        if self._inserting:
            await asyncio.wait(self._inserting, timeout=self._timeout_s)

    def _insert(self, records: Sequence[ChatRecord]) -> asyncio.Task[None]:
        inserting = asyncio.create_task(self._rows.insert(records))
        self._inserting.add(inserting)
        inserting.add_done_callback(self._over)
        return inserting

    def _over(self, inserting: asyncio.Task[None]) -> None:
        self._inserting.discard(inserting)
        _error_of(inserting)  # asked for, so that asyncio does not report one that was given up


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
        case RowsRefused():
            return "refused"
        case _:
            return "away"
