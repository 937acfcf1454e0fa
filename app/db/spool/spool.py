"""The spool as the event loop sees it: no call waits for the disk there, and its size is bounded."""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, Protocol, Self, TypeVar

import structlog

from app.core.record import ChatRecord
from app.db.spool.folder import Folder
from app.db.spool.segment import Line, Segment, to_line

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class Probe(Protocol):
    """Who watches. It never raises."""

    def rows_spooled(self, records: Sequence[ChatRecord], *, began_ns: int, failed: bool) -> None:
        """Once for each batch that was written to the disk, or could not be."""
        ...

    def row_rejected(self) -> None:
        """Once for each row that was put aside."""
        ...


class SpoolBroken(Exception):
    """The disk does not take rows."""


class Spool:
    """One per process. `broken`: the disk takes no rows, as far as is known."""

    def __init__(self, path: Path, *, max_bytes: int, probe: Probe) -> None:
        self._folder = Folder(path)
        self.max_bytes = max_bytes
        self._probe = probe
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self.broken = False

    async def __aenter__(self) -> Self:
        await self._check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._in_thread(self._folder.close)
        self._thread.shutdown(wait=False)

    @property
    def rows(self) -> int:
        """Those that wait, in the segments of this process."""
        return sum(segment.rows for segment in self._folder.segments)

    @property
    def bytes(self) -> int:
        """What they take, and what the rejected ones take, which are everybody's."""
        return sum(segment.bytes for segment in self._folder.segments) + self._folder.rejected_bytes

    @property
    def age_s(self) -> float:
        """How long ago the first of the chats that wait arrived."""
        oldest = [segment.oldest for segment in self._folder.segments if segment.rows and segment.oldest]
        return max(0.0, time.time() - min(oldest)) if oldest else 0.0

    @property
    def room(self) -> int:
        """How many bytes it may still grow by."""
        return max(0, self.max_bytes - self.bytes)

    @property
    def room_on_disk(self) -> int:
        """… and how many of them the disk has."""
        return 0 if self.broken else min(self.room, self._folder.free_bytes)

    async def append(self, records: Sequence[ChatRecord]) -> None:
        """Returns when they are on the disk. Raises SpoolBroken, or what an encoder raises."""
        began_ns, failed = time.time_ns(), True
        try:
            await self._write(self._append, records)
            failed = False
        finally:
            self._probe.rows_spooled(records, began_ns=began_ns, failed=failed)

    def _append(self, records: Sequence[ChatRecord]) -> None:
        self._folder.append([to_line(record) for record in records], min(record.created_at for record in records))

    async def reject(self, name: str | None, line: Line, *, error: Exception) -> None:
        """Puts a row aside that the database refuses for what is in it, or a line that is none. Raises SpoolBroken."""
        await self._write(self._folder.reject, name, line)
        log.error("chat_log.row_rejected", row=name, error=str(error))
        self._probe.row_rejected()

    async def look(self) -> None:
        """Takes over what dead processes have left; sees whether a broken disk takes rows again."""
        if self.broken:
            await self._check()
        try:
            orphans = await self._in_thread(self._folder.orphans)
        except OSError as exc:
            self._break(exc)
            return
        adopted = 0
        for path in orphans:  # one at a time: a row that is written meanwhile waits for one of them at the most
            adopted += await self._in_thread(self._folder.adopt, path)
        if adopted:
            log.info("spool.adopted", segments=adopted, rows=self.rows)

    async def _check(self) -> None:
        try:
            await self._in_thread(self._folder.check)
        except OSError as exc:
            self._break(exc)
        else:
            self.broken = False

    async def next_to_drain(self) -> Segment | None:
        """A segment that is written no longer."""
        return await self._in_thread(self._folder.next_to_drain)

    async def read(self, segment: Segment, *, max_rows: int, max_bytes: int) -> list[Line]:
        """The next lines of it; none at the end. Raises OSError."""
        return await self._in_thread(segment.read, max_rows=max_rows, max_bytes=max_bytes)

    async def remove(self, segment: Segment) -> None:
        """All of its rows are in the database or put aside. Raises OSError."""
        await self._in_thread(self._folder.remove, segment)

    async def put_off(self, segment: Segment) -> None:
        """It cannot be moved now; the others come first."""
        await self._in_thread(self._folder.put_off, segment)

    async def _write(
        self, work: Callable[_Parameters, None], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> None:
        try:
            await self._in_thread(work, *args, **kwargs)
        except OSError as exc:
            self._break(exc)
            raise SpoolBroken(str(exc)) from exc
        self.broken = False

    def _break(self, exc: OSError) -> None:
        if not self.broken:
            log.error("spool.broken", error=str(exc))
        self.broken = True

    async def _in_thread(
        self, work: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def spool_gauges(spool: Spool) -> dict[str, Callable[[], float]]:
    """What waits, and for how long; asked for at any time."""
    return {
        "rows": lambda: spool.rows,
        "bytes": lambda: spool.bytes,
        "limit_bytes": lambda: spool.max_bytes,
        "age_s": lambda: spool.age_s,
    }
