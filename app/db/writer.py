"""The group commit: whatever has queued since the last commit goes into the next one.

A commit waits for nothing but the one before it: a lone chat is written at once, and under load one commit carries
many. `add` queues before anything is awaited, so a client that leaves cannot take its row along.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, Self

import structlog

from app.core.errors import NotRecorded
from app.core.record import ChatRecord
from app.db.availability import Availability
from app.db.errors import RowsRefused

_Waiting = tuple[ChatRecord, asyncio.Future[None]]

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """What the writer needs of a repository."""

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

    def row_rejected(self) -> None:
        """Once for each row that the database refuses for what is in it."""
        ...


class ChatLogWriter:
    """One per process; satisfies `chat.ports.ChatLog`. Leaving its context writes what is queued."""

    def __init__(self, rows: Rows, *, commit_timeout_s: float, max_rows: int, probe: Probe) -> None:
        self._rows = rows
        self._probe = probe
        self._database = Availability(rows.ping)
        self._commit_timeout_s = commit_timeout_s
        self._max_rows = max_rows
        self._queue: list[_Waiting] = []
        self._something_queued = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._inserting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="chat_logs writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._something_queued.set()
        if self._task is not None:
            await self._task
        await self._database.aclose()
        if self._inserting:  # those that were given up
            await asyncio.wait(self._inserting, timeout=self._commit_timeout_s)

    @property
    def available(self) -> bool:
        """False from a commit that failed until the database answers again."""
        return self._database.well

    def add(self, record: ChatRecord) -> asyncio.Future[None]:
        durable = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            durable.set_exception(NotRecorded("the service has stopped keeping rows"))
        else:
            self._queue.append((record, durable))
            self._something_queued.set()
        return durable

    async def _run(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._queue or not self._closing:
                await self._something_queued.wait()
                batch, self._queue = self._queue[: self._max_rows], self._queue[self._max_rows :]
                if not self._queue and not self._closing:
                    self._something_queued.clear()
                if batch:
                    await self._commit(batch)
        finally:  # cancelled by a server in a hurry: nobody is to wait for ever
            _settle([*batch, *self._queue], RuntimeError("the writer was stopped"))

    async def _commit(self, batch: list[_Waiting]) -> None:
        error = await self._try(batch)
        if isinstance(error, RowsRefused) and len(batch) > 1:  # one row must not take the others of its commit along
            for waiting in batch:
                await self._commit([waiting])
            return
        if isinstance(error, RowsRefused):
            self._probe.row_rejected()
        elif error is not None:
            self._database.lost()
        else:
            self._database.kept()
        _settle(batch, error)
        if error:
            log.error("chat_log.commit_failed", rows=len(batch), error=f"{type(error).__name__}: {error}")

    async def _try(self, batch: list[_Waiting]) -> BaseException | None:
        """One commit within its time limit; why it failed, if it did."""
        began_ns, began = time.time_ns(), time.monotonic()
        records = [record for record, _ in batch]
        inserting = self._insert(records)
        try:
            await asyncio.wait((inserting,), timeout=self._commit_timeout_s)
        finally:
            # A driver may need long to give up a connection that does not answer; nobody waits for that.
            inserting.cancel()
        error = _error_of(inserting)
        took_s = time.monotonic() - began
        self._probe.rows_committed(records, began_ns=began_ns, took_s=took_s, failure=_failure(error))
        return error

    def _insert(self, records: list[ChatRecord]) -> asyncio.Task[None]:
        inserting = asyncio.create_task(self._rows.insert(records))
        self._inserting.add(inserting)
        inserting.add_done_callback(self._over)
        return inserting

    def _over(self, inserting: asyncio.Task[None]) -> None:
        self._inserting.discard(inserting)
        _error_of(inserting)  # asked for, so that asyncio does not report one that was given up


def _error_of(inserting: asyncio.Task[None]) -> BaseException | None:
    if not inserting.done() or inserting.cancelled():
        return TimeoutError("the commit took too long")
    return inserting.exception()


def _failure(error: BaseException | None) -> str | None:
    match error:
        case None:
            return None
        case TimeoutError():
            return "timeout"
        case RowsRefused():
            return "refused"
        case _:
            return "away"


def _settle(batch: list[_Waiting], error: BaseException | None) -> None:
    for _, durable in batch:
        if durable.done():  # its client has stopped waiting
            continue
        if error is None:
            durable.set_result(None)
        else:
            lost = NotRecorded("the chat could not be recorded; treat it as not delivered and ask again")
            lost.__cause__ = error
            durable.set_exception(lost)
