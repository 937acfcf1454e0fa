"""Group commit: one commit stores all records that were queued since the last one.

A commit waits only for the one before it: a single record is stored at once, and under load one commit stores many.
`add` queues before anything is awaited, so that a client that disconnects does not cancel its row. Records that the
database does not commit in time go to the outbox. SQLite as the main database needs no outbox.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

import structlog

from app.core.errors import PersistenceFailed
from app.core.record import ChatRecord, StoredIn
from app.db.commits import Commits
from app.db.errors import DatabaseUnavailable, RowsRejected
from app.db.outbox import Outbox, OutboxUnavailable
from app.db.replay import OutboxReplayer

_Waiting = tuple[ChatRecord, asyncio.Future[StoredIn]]
_UNLIMITED = 2**63
_MAX_BYTES = 4 * 2**20
"""Bytes of prompts and answers of one commit: larger ones would not end within COMMIT_TIMEOUT_S."""

log = structlog.get_logger(__name__)


class ChatLogWriter:
    """One per process; satisfies `RecordStore`. Closing its context stores all queued records."""

    def __init__(self, commits: Commits, outbox: Outbox | None, *, max_rows: int) -> None:
        self._commits = commits
        self._outbox = outbox
        self._max_rows = max_rows
        self._queue: list[_Waiting] = []
        self._queued = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._outbox is not None:
            await self._stack.enter_async_context(self._outbox)
        self._stack.push_async_callback(self._commits.aclose)
        self._commits.database.start()
        if self._outbox is not None:
            await self._stack.enter_async_context(OutboxReplayer(self._outbox, self._commits).running())
        self._task = asyncio.create_task(self._run(), name="chat_logs writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._queued.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            await self._stack.aclose()

    @property
    def database_healthy(self) -> bool:
        """Whether rows go to the database first."""
        return self._commits.database.healthy

    @property
    def database_migrated(self) -> bool:
        """False while the database answers without the tables of this version; True while that is not known."""
        return self._commits.database.migrated

    @property
    def outbox_rows(self) -> int:
        """Rows of this machine that wait for the database."""
        return 0 if self._outbox is None else self._outbox.rows

    @property
    def free_bytes(self) -> int:
        """The bytes of rows that can be stored, without those that are stored or reserved.

        While the database is healthy, a full disk is no reason to refuse chats.
        """
        if self._outbox is None:
            return _UNLIMITED if self._commits.database.healthy else 0
        return self._outbox.free_bytes(on_disk=not self._commits.database.healthy)

    def reserve(self, row_bytes: int) -> None:
        """Reserves bytes for the row of a chat, or releases them where `row_bytes` is negative."""
        if self._outbox is not None:
            self._outbox.reserve(row_bytes)

    def add(self, record: ChatRecord) -> asyncio.Future[StoredIn]:
        durable = asyncio.get_running_loop().create_future()
        try:
            if self._task is None or self._task.done():
                raise RuntimeError("the writer has stopped")
            self._queue.append((record.storable(), durable))
            self._queued.set()
        except (RuntimeError, RecursionError) as exc:
            _fail([(record, durable)], exc)
        return durable

    async def _run(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._queue or not self._closing:
                await self._queued.wait()
                count = self._batch_rows()
                batch, self._queue = self._queue[:count], self._queue[count:]
                if not self._queue and not self._closing:
                    self._queued.clear()
                if batch:
                    await self._store(batch)
        finally:  # also when cancelled, so that no chat waits for ever
            _fail([*batch, *self._queue], RuntimeError("the writer was stopped"))

    def _batch_rows(self) -> int:
        """The number of queued records for one commit: at least one."""
        size = 0
        for count, (record, _) in enumerate(self._queue[: self._max_rows]):
            size += record.content_bytes
            if count and size > _MAX_BYTES:
                return count
        return self._max_rows

    async def _store(self, batch: list[_Waiting]) -> None:
        """Stores in the database, else in the outbox; in the other order while the database is unavailable."""
        targets = [self._to_database, self._to_outbox]
        for store in targets if self._commits.database.healthy else reversed(targets):
            try:
                await store(batch)
                return
            except (DatabaseUnavailable, OutboxUnavailable):  # logged where they are raised; SQLite has no outbox
                pass
            except Exception:
                log.exception("chat_log.writer_failed", rows=len(batch))
        _fail(batch, OSError("neither the database nor the outbox stored the row"))

    async def _to_database(self, batch: list[_Waiting]) -> None:
        try:
            await self._commits.commit([record for record, _ in batch])
            _resolve(batch, StoredIn.DATABASE)
        except RowsRejected as error:
            if len(batch) == 1:
                await self._required_outbox.reject(batch[0][0], error)
                _resolve(batch, StoredIn.REJECTED)
                return
            for waiting in batch:  # finds the row that is rejected, which is rare
                await self._store([waiting])

    async def _to_outbox(self, batch: list[_Waiting]) -> None:
        await self._required_outbox.append([record for record, _ in batch])
        _resolve(batch, StoredIn.OUTBOX)

    @property
    def _required_outbox(self) -> Outbox:
        if self._outbox is None:
            raise OutboxUnavailable("SQLite as the database has none")
        return self._outbox


def _resolve(batch: list[_Waiting], stored_in: StoredIn) -> None:
    for _, durable in batch:
        if not durable.done():  # otherwise its caller was cancelled
            durable.set_result(stored_in)


def _fail(batch: list[_Waiting], cause: Exception) -> None:
    for _, durable in batch:
        if not durable.done():
            durable.set_exception(PersistenceFailed(cause))
