"""Moves rows from the outbox to the database when it is available. Ids make it exactly once.

Its failures neither delay running chats nor change whether the database counts as healthy.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace

import msgspec
import structlog

from app.core.background import background_task
from app.core.record import ChatRecord
from app.db.commits import Commits
from app.db.errors import DatabaseUnavailable, RowsRejected
from app.db.outbox import Outbox, OutboxUnavailable

_INTERVAL_S = 1
_MAX_PAUSE_S = 16
_MAX_ROWS = 200
_MAX_BYTES = 4 * 2**20
_FAILURES_OF_ONE_ROW = 3

log = structlog.get_logger(__name__)


class OutboxReplayer:
    """One per process; the process that has the lock moves rows."""

    def __init__(self, outbox: Outbox, commits: Commits) -> None:
        self._outbox = outbox
        self._file = outbox.file
        self._commits = commits
        self._batch_rows = _MAX_ROWS
        self._pause_s: float = _INTERVAL_S
        self._paused_until = 0.0
        self._failed_alone: dict[str, tuple[int, int]] = {}

    def running(self) -> AbstractAsyncContextManager[None]:
        """Moves rows in the background until this is left."""
        return background_task(self._run(), name="outbox replayer")

    async def _run(self) -> None:
        while True:
            try:
                with suppress(OutboxUnavailable):  # a disk that takes no rows may still give them back
                    await self._outbox.refresh_status()
                if self._outbox.rows and self._commits.database.healthy and time.monotonic() >= self._paused_until:
                    await self._replay()
            except Exception as exc:
                self._paused_until = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)
                if not isinstance(exc, DatabaseUnavailable | OutboxUnavailable):  # logged where they are raised
                    log.exception("outbox.replay_failed")
            await asyncio.sleep(_INTERVAL_S)

    async def _replay(self) -> None:
        """Moves all rows. After a crash between commit and deletion the database ignores the ids that it has."""
        lock = await self._outbox.run(self._file.replay_lock)
        if lock is None:
            return
        with lock:
            moved = False
            while self._commits.database.healthy and (rows := await self._next()):
                await self._move([record for each in rows if (record := await self._decoded(*each))])
                moved = True
            if moved and await self._outbox.run(self._file.remove_if_empty):
                self._failed_alone.clear()
                log.info("outbox.drained")
            await self._outbox.refresh_status()

    async def _next(self) -> list[tuple[str, bytes]]:
        max_bytes = _MAX_BYTES * self._batch_rows // _MAX_ROWS
        return await self._outbox.run(self._file.next_rows, max_rows=self._batch_rows, max_bytes=max_bytes)

    async def _decoded(self, row_id: str, payload: bytes) -> ChatRecord | None:
        try:
            record = decode(payload)
            if str(record.id) != row_id:
                raise ValueError(f"the payload is that of another row, {record.id}")
            return record
        except ValueError as error:
            await self._outbox.reject(row_id, error)
            return None

    async def _move(self, records: Sequence[ChatRecord]) -> None:
        """Commits rows and deletes them. A rejected batch is halved until the rejected row is found."""
        if not records:
            return
        try:
            await self._commits.commit(records, live=False)
        except RowsRejected as error:
            if len(records) == 1:
                await self._outbox.reject(str(records[0].id), error)
                return
            half = len(records) // 2
            await self._move(records[:half])
            await self._move(records[half:])
            return
        except DatabaseUnavailable as error:
            self._batch_rows = max(1, len(records) // 2)
            if len(records) == 1:
                await self._postpone(str(records[0].id), error)
            raise
        self._batch_rows = min(2 * self._batch_rows, _MAX_ROWS)
        self._pause_s = _INTERVAL_S
        await self._outbox.run(self._file.delete, [str(record.id) for record in records])

    async def _postpone(self, row_id: str, error: DatabaseUnavailable) -> None:
        """Puts a row that failed alone behind the others.

        Rejects it after several failures between which the database stored other rows: then the row is the cause.
        """
        failures, made_then = self._failed_alone.pop(row_id, (0, self._commits.made))
        failures += self._commits.made > made_then
        if failures >= _FAILURES_OF_ONE_ROW:
            await self._outbox.reject(row_id, error)
        else:
            self._failed_alone[row_id] = failures, self._commits.made
            await self._outbox.run(self._file.postpone, row_id, str(error))


class _OldNames(msgspec.Struct):
    """Fields of rows that were written before their columns were renamed."""

    groq_request_id: str | None = None


def decode(payload: bytes) -> ChatRecord:
    """Decodes a row of this or an earlier version. Raises ValueError if it is not a row."""
    try:
        record = msgspec.json.decode(payload, type=ChatRecord)
        if record.upstream_request_id is None:
            old = msgspec.json.decode(payload, type=_OldNames)
            record = replace(record, upstream_request_id=old.groq_request_id)
        return record
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(f"the payload cannot be read: {exc}") from exc
