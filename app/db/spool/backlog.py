"""Moves rows from the spool into the database when that is well again: each of them once, as its id says."""

import asyncio
from contextlib import suppress
from typing import Self

import structlog

from app.core.record import ChatRecord
from app.db.commits import Commits
from app.db.errors import DatabaseAway, RowsRefused
from app.db.spool.segment import Line, Segment, Unreadable, to_line, to_record
from app.db.spool.spool import Spool, SpoolBroken

_LOOK_EVERY_S = 1
_MAX_ROWS = 200
_MAX_BYTES = 4 * 2**20

log = structlog.get_logger(__name__)


class Backlog:
    """One per process; it works as long as its context is open. What it does not get done is left for the next one."""

    def __init__(self, spool: Spool, commits: Commits) -> None:
        self._spool = spool
        self._commits = commits
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
                while self._commits.well and self._spool.rows and (segment := await self._spool.next_to_drain()):
                    await self._drain(segment)
            except (DatabaseAway, SpoolBroken):
                pass  # both have said so in the log
            except Exception:
                log.exception("spool.drain_failed")
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._spool.look()

    async def _drain(self, segment: Segment) -> None:
        """A crash on the way does no harm: the rows that are there already are left as they are."""
        offset = moved = 0
        try:
            while lines := await self._spool.read(segment, offset, max_rows=_MAX_ROWS, max_bytes=_MAX_BYTES):
                await self._move(segment, offset, lines)
                offset += sum(map(len, lines))
                moved += len(lines)
            await self._spool.remove(segment)
        except OSError:
            await self._spool.put_off(segment)
            raise
        log.info("spool.drained", segment=segment.path.name, rows=moved)

    async def _move(self, segment: Segment, offset: int, lines: list[Line]) -> None:
        """Into the database, or aside what can never go there."""
        records = []
        for line in lines:
            try:
                records.append(to_record(line))
            except Unreadable as error:
                await self._spool.reject(f"{segment.path.stem}-{offset}", line, error=error)
            offset += len(line)
        if records:
            await self._insert(records)

    async def _insert(self, records: list[ChatRecord]) -> None:
        try:
            await self._commits.commit(records)
        except RowsRefused as refused:
            if len(records) == 1:
                await self._spool.reject(str(records[0].id), to_line(records[0]), error=refused)
                return
            for record in records:  # one of them must not hold up the others
                await self._insert([record])
