"""Moves rows from the spool into the database when that is well again: each of them once, as its id says.

What goes wrong here is the backlog's alone: an old row neither holds up the chats that end now, nor makes them spool.
"""

import asyncio
import time
from contextlib import suppress
from typing import Self
from uuid import UUID

import structlog

from app.core.record import ChatRecord
from app.db.commits import Commits
from app.db.errors import DatabaseAway, RowsRefused
from app.db.spool.segment import Line, Segment, Unreadable, to_line, to_record
from app.db.spool.spool import Spool, SpoolBroken

_LOOK_EVERY_S = 1
_REST_AT_MOST_S = 16
_MAX_ROWS = 200
_MAX_BYTES = 4 * 2**20
_TRIES_OF_ONE_ROW = 3

log = structlog.get_logger(__name__)


class Backlog:
    """One per process; it works as long as its context is open. What it does not get done is left for the next one."""

    def __init__(self, spool: Spool, commits: Commits) -> None:
        self._spool = spool
        self._commits = commits
        self._rows_at_once = _MAX_ROWS
        self._rest_s: float = _LOOK_EVERY_S
        self._rested_at = 0.0
        self._failed_alone: dict[UUID, tuple[int, int]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="chat_logs backlog")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._spool.look()
                if time.monotonic() >= self._rested_at:
                    await self._drain_all()
            except Exception as exc:
                self._rest_s = min(2 * self._rest_s, _REST_AT_MOST_S)
                self._rested_at = time.monotonic() + self._rest_s
                if not isinstance(exc, DatabaseAway | SpoolBroken):  # both have said so in the log
                    log.exception("spool.drain_failed")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _drain_all(self) -> None:
        while self._commits.well and (segment := await self._spool.next_to_drain()):
            await self._drain(segment)
        if not self._spool.rows:
            self._rest_s = _LOOK_EVERY_S
            self._failed_alone.clear()

    async def _drain(self, segment: Segment) -> None:
        """A crash on the way does no harm: the rows that are there already are left as they are."""
        try:
            while lines := await self._next(segment):
                behind = await self._move(lines)
                segment.moved += sum(map(len, lines))
                segment.rows -= len(lines)
                if behind is not None:
                    raise behind
            if not segment.still_copied:
                await self._spool.remove(segment)
                log.info("spool.drained", segment=segment.path.name)
                return
        except (OSError, DatabaseAway, SpoolBroken):
            await self._spool.put_off(segment)
            raise
        await self._spool.put_off(segment)
        await asyncio.sleep(_LOOK_EVERY_S)

    async def _next(self, segment: Segment) -> list[Line]:
        """Fewer where so many were too many for a commit."""
        max_bytes = _MAX_BYTES * self._rows_at_once // _MAX_ROWS
        return await self._spool.read(segment, max_rows=self._rows_at_once, max_bytes=max_bytes)

    async def _move(self, lines: list[Line]) -> DatabaseAway | None:
        """Into the database, or aside what can never go there; why, if it went behind the others."""
        records = []
        for line in lines:
            try:
                records.append(to_record(line))
            except Unreadable as error:
                await self._spool.reject(None, line, error=error)
        return await self._insert(records) if records else None

    async def _insert(self, records: list[ChatRecord]) -> DatabaseAway | None:
        try:
            await self._commits.commit(records, live=False)
        except RowsRefused as refused:
            if len(records) == 1:
                await self._aside(records[0], refused)
            else:
                await self._insert_each(records)
        except DatabaseAway as away:
            self._rows_at_once = max(1, len(records) // 2)
            if len(records) > 1:
                raise
            return await self._behind_the_others(records[0], away)
        self._rows_at_once = min(2 * self._rows_at_once, _MAX_ROWS)
        self._rest_s = _LOOK_EVERY_S
        return None

    async def _insert_each(self, records: list[ChatRecord]) -> None:
        """One of them must not hold up the others."""
        for record in records:
            try:
                await self._commits.commit([record], live=False)
            except RowsRefused as refused:
                await self._aside(record, refused)

    async def _behind_the_others(self, record: ChatRecord, away: DatabaseAway) -> DatabaseAway:
        """A row that fails alone lets the others pass. If they are taken and it is not, again and again, it is the row.

        Raises what it was given where nothing has been taken since it last failed: then it is the database.
        """
        tries, made_then = self._failed_alone.get(record.id, (0, -1))
        others_were_taken = 0 <= made_then < self._commits.made
        tries += others_were_taken
        self._failed_alone[record.id] = tries, self._commits.made
        if tries >= _TRIES_OF_ONE_ROW:
            await self._aside(record, away)
        elif others_were_taken or made_then < 0:
            await self._spool.append([record])
        else:
            raise away
        return away

    async def _aside(self, record: ChatRecord, error: Exception) -> None:
        self._failed_alone.pop(record.id, None)
        await self._spool.reject(str(record.id), to_line(record), error=error)
