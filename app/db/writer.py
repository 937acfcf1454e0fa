"""The group commit: whatever has queued since the last commit goes into the next one.

A commit waits for nothing but the one before it: a lone chat is written at once, and under load one commit carries
many. `add` queues before anything is awaited, so a client that leaves cannot take its row along.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, Self

import structlog

from app.chat.record import ChatRecord
from app.core.errors import NotRecorded
from app.db.errors import RowsRefused

_Waiting = tuple[ChatRecord, asyncio.Future[None]]

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """What the writer needs of a repository."""

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        """Commits all of them or none. Raises RowsRefused or DatabaseAway."""
        ...


class ChatLogWriter:
    """One per process; satisfies `chat.ports.ChatLog`. Leaving its context writes what is queued."""

    def __init__(self, rows: Rows, *, commit_timeout_s: float, max_rows: int) -> None:
        self._rows = rows
        self._commit_timeout_s = commit_timeout_s
        self._max_rows = max_rows
        self._queue: list[_Waiting] = []
        self._something_queued = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="chat_logs writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._something_queued.set()
        if self._task is not None:
            await self._task

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
        error: Exception | None = None
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._rows.insert([record for record, _ in batch])
        except RowsRefused as exc:
            if len(batch) > 1:  # one row must not take the others of its commit along
                for waiting in batch:
                    await self._commit([waiting])
                return
            error = exc
        except Exception as exc:  # noqa: BLE001 - the writer outlives whatever happens, and each chat hears of it
            error = exc
        _settle(batch, error)
        if error:
            log.error("chat_log.commit_failed", rows=len(batch), error=f"{type(error).__name__}: {error}")


def _settle(batch: list[_Waiting], error: Exception | None) -> None:
    for _, durable in batch:
        if durable.done():  # its client has stopped waiting
            continue
        if error is None:
            durable.set_result(None)
        else:
            lost = NotRecorded("the chat could not be recorded; treat it as not delivered and ask again")
            lost.__cause__ = error
            durable.set_exception(lost)
