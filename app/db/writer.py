"""The group commit: whatever has queued since the last commit goes into the next one.

A commit waits for nothing but the one before it: a lone chat is written at once, and under load one commit carries
many. `add` queues before anything is awaited, so a client that leaves cannot take its row along.
"""

import asyncio
from typing import Protocol, Self

import structlog

from app.chat.record import ChatRecord
from app.core.errors import NotRecorded

_Waiting = tuple[ChatRecord, asyncio.Future[None]]

log = structlog.get_logger(__name__)


class Rows(Protocol):
    """What the writer needs of a repository."""

    async def insert(self, records: list[ChatRecord]) -> None: ...


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
        self._queue.append((record, durable))
        self._something_queued.set()
        return durable

    async def _run(self) -> None:
        while self._queue or not self._closing:
            await self._something_queued.wait()
            batch, self._queue = self._queue[: self._max_rows], self._queue[self._max_rows :]
            if not self._queue and not self._closing:
                self._something_queued.clear()
            if batch:
                await self._commit(batch)

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                await self._rows.insert([record for record, _ in batch])
        except Exception as exc:  # noqa: BLE001 - whatever the driver raises, each chat must hear of it
            if len(batch) > 1 and not isinstance(exc, OSError):  # nobody is away (a timeout is an OSError too)
                await self._commit_one_by_one(batch)
            else:
                log.error("chat_log.commit_failed", rows=len(batch), error=f"{type(exc).__name__}: {exc}")
                _settle(batch, exc)
        else:
            _settle(batch)

    async def _commit_one_by_one(self, batch: list[_Waiting]) -> None:
        """A row that the database refuses for its data must not take the others of its commit along."""
        for waiting in batch:
            await self._commit([waiting])


def _settle(batch: list[_Waiting], cause: Exception | None = None) -> None:
    for _, durable in batch:
        if durable.done():  # its client has stopped waiting
            continue
        if cause is None:
            durable.set_result(None)
        else:
            lost = NotRecorded("the chat could not be recorded; treat it as not delivered and ask again")
            lost.__cause__ = cause
            durable.set_exception(lost)
