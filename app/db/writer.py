"""The group commit: whatever has queued since the last commit goes into the next one.

A commit waits for nothing but the one before it: a lone chat is written at once, and under load one commit carries
many. `add` queues before anything is awaited, so a client that leaves cannot take its row along. What the database does
not take in time goes to the outbox, and is as durable there; SQLite as the database has none.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

import structlog

from app.core.errors import PersistenceFailed
from app.core.record import ChatRecord, Kept
from app.db.commits import Commits
from app.db.errors import DatabaseAway, RowsRefused
from app.db.outbox import Outbox, OutboxUnavailable
from app.db.replay import OutboxReplayer

_Waiting = tuple[ChatRecord, asyncio.Future[Kept]]
_UNLIMITED = 2**63

log = structlog.get_logger(__name__)


class ChatLogWriter:
    """One per process; satisfies `chat.ports.ChatLog`. Leaving its context keeps what is queued."""

    def __init__(self, commits: Commits, outbox: Outbox | None, *, max_rows: int) -> None:
        self._commits = commits
        self._outbox = outbox
        self._max_rows = max_rows
        self._queue: list[_Waiting] = []
        self._something_queued = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._outbox is not None:
            await self._stack.enter_async_context(self._outbox)
        self._stack.push_async_callback(self._commits.aclose)
        if self._outbox is not None:
            await self._stack.enter_async_context(OutboxReplayer(self._outbox, self._commits))
        self._task = asyncio.create_task(self._run(), name="chat_logs writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._something_queued.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            await self._stack.aclose()

    @property
    def database_well(self) -> bool:
        """Whether rows go to the database, and not to the outbox."""
        return self._commits.well

    @property
    def outbox_rows(self) -> int:
        """Rows of this machine that wait for the database."""
        return 0 if self._outbox is None else self._outbox.rows

    @property
    def free_bytes(self) -> int:
        """Bytes of rows that neither wait nor are reserved for running chats. As long as the database takes rows, a
        disk that takes nothing, or not enough, is no reason to refuse chats.
        """
        if self._outbox is None:
            return _UNLIMITED if self._commits.well else 0
        return self._outbox.free_bytes(on_disk=not self._commits.well)

    def reserve(self, row_bytes: int) -> None:
        """Reserves bytes for the row of a chat, or releases them where `row_bytes` is negative."""
        if self._outbox is not None:
            self._outbox.reserve(row_bytes)

    def add(self, record: ChatRecord) -> asyncio.Future[Kept]:
        durable = asyncio.get_running_loop().create_future()
        try:
            if self._task is None or self._task.done():
                raise RuntimeError("the service has stopped keeping rows")
            self._queue.append((record.storable(), durable))
            self._something_queued.set()
        except (RuntimeError, RecursionError) as exc:
            _give_up([(record, durable)], exc)
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
                    await self._keep(batch)
        finally:  # cancelled by a server in a hurry: nobody is to wait for ever
            _give_up([*batch, *self._queue], RuntimeError("the writer was stopped"))

    async def _keep(self, batch: list[_Waiting]) -> None:
        """In the database or the outbox; where the first of them is known to be away, the other one comes first."""
        places = [self._in_database, self._in_outbox]
        for place in places if self._commits.well else reversed(places):
            try:
                if await place(batch):
                    return
            except Exception:
                log.exception("chat_log.writer_failed", rows=len(batch))
        _give_up(batch, OSError("neither the database nor the outbox took it"))

    async def _in_database(self, batch: list[_Waiting]) -> bool:
        try:
            await self._commits.commit([record for record, _ in batch])
        except DatabaseAway:
            return False
        except RowsRefused as refused:
            if len(batch) == 1:
                return await self._aside(batch[0], refused)
            for waiting in batch:  # one row must not take the others of its commit along
                await self._keep([waiting])
            return True
        _settle(batch, Kept.DATABASE)
        return True

    async def _in_outbox(self, batch: list[_Waiting]) -> bool:
        if self._outbox is None:
            return False
        try:
            await self._outbox.append([record for record, _ in batch])
        except OutboxUnavailable:
            return False
        _settle(batch, Kept.SPOOL)
        return True

    async def _aside(self, waiting: _Waiting, refused: RowsRefused) -> bool:
        if self._outbox is None:
            return False
        try:
            await self._outbox.reject(waiting[0], refused)
        except OutboxUnavailable:
            return False
        _settle([waiting], Kept.REJECTED)
        return True


def _settle(batch: list[_Waiting], kept: Kept) -> None:
    for _, durable in batch:
        if not durable.done():  # else its client has stopped waiting
            durable.set_result(kept)


def _give_up(batch: list[_Waiting], cause: Exception) -> None:
    for _, durable in batch:
        if not durable.done():
            lost = PersistenceFailed("the chat could not be recorded; treat it as not delivered and ask again")
            lost.__cause__ = cause
            durable.set_exception(lost)
