"""The outbox as the event loop sees it: no call blocks the loop, and none lasts longer than its timeout."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import BufferedIOBase, RawIOBase
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import structlog

from app.core.record import ChatRecord
from app.db.outbox_file import OutboxFile, OutboxStatus
from app.db.reservations import Reservations

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class OutboxEvents(Protocol):
    """What telemetry records. It never raises."""

    def outbox_written(self, records: Sequence[ChatRecord], *, began_ns: int, failed: bool) -> None:
        """Called for each batch that was written to the outbox, or could not be."""

    def row_rejected(self) -> None:
        """Called for each row that the database rejected, when the outbox has it."""


class OutboxUnavailable(Exception):
    """The disk failed, or did not answer in time. In the second case it may have stored the rows."""


class Outbox:
    """One per process. `available`: the disk takes rows, as far as is known."""

    def __init__(
        self,
        file: OutboxFile,
        *,
        max_bytes: int,
        timeout_s: float,
        reservations: Reservations,
        events: OutboxEvents,
    ) -> None:
        self.file = file
        self.max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._reservations = reservations
        self._events = events
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._overdue: Future[Any] | None = None
        self.status = OutboxStatus()
        self.available = True

    async def __aenter__(self) -> Self:
        with suppress(OutboxUnavailable):
            await self.run(self.file.check)
        with suppress(OutboxUnavailable):  # a full disk may have rows that can be replayed
            await self.refresh_status()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(OutboxUnavailable):
            await self.run(self.file.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def rows(self) -> int:
        """Rows of this machine that wait for the database."""
        return self.status.rows

    @property
    def used_bytes(self) -> int:
        """Bytes of the file's pages that have rows, rejected ones included."""
        return self._reservations.used_bytes

    def free_bytes(self, *, on_disk: bool) -> int:
        """The bytes of the limit that are neither used nor reserved; with `on_disk`, at most what the disk has."""
        free = self.max_bytes - self._reservations.used_bytes
        if on_disk:
            free = min(free, self.status.free_bytes) if self.available else 0
        return free - self._reservations.reserved_bytes

    def reserve(self, row_bytes: int) -> None:
        """Reserves bytes for the row of a chat, or releases them where `row_bytes` is negative."""
        self._reservations.add(row_bytes)

    async def append(self, records: Sequence[ChatRecord]) -> None:
        """Returns when they are durable. Raises OutboxUnavailable, or what an encoder raises."""
        began_ns, failed = time.time_ns(), True
        try:
            await self.run(self.file.append, records)
            failed = False
        finally:
            self._events.outbox_written(records, began_ns=began_ns, failed=failed)
        self.available = True
        self.status = self.status._replace(rows=self.status.rows + len(records))

    async def reject(self, record: ChatRecord | str, error: Exception) -> None:
        """Adds a row that the database rejected, or marks one that waits, by its id. Raises OutboxUnavailable."""
        if isinstance(record, ChatRecord):
            await self.run(self.file.append, [record], error=str(error))
        else:
            await self.run(self.file.reject, record, str(error))
        log.error("chat_log.row_rejected", row=record if isinstance(record, str) else str(record.id), error=str(error))
        self._events.row_rejected()

    async def refresh_status(self) -> None:
        """Updates what is known of the file; checks whether a disk that failed takes rows again."""
        available = self.available
        self.status = await self.run(self.file.status)
        if not available:
            await self.run(self.file.check)
        self.available = True

    async def run(
        self, work: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        """Calls `work` in the outbox's thread. Raises OutboxUnavailable, at once while an earlier call hangs."""
        try:
            if self._overdue is not None and not self._overdue.done():
                raise TimeoutError("the disk has not answered an earlier call")
            call = self._thread.submit(work, *args, **kwargs)
            waiting = asyncio.wrap_future(call)
            try:
                await asyncio.wait((waiting,), timeout=self._timeout_s)
                if not waiting.done():
                    if call.running():
                        self._overdue = call
                        call.add_done_callback(_close_result)
                    raise TimeoutError(f"the disk has not answered for {self._timeout_s:g} s")
                return waiting.result()
            finally:
                waiting.cancel()  # and with it a call that has not begun
        except (OSError, sqlite3.Error) as exc:
            if self.available:
                log.error("outbox.unavailable", error=f"{type(exc).__name__}: {exc}")
            self.available = False
            raise OutboxUnavailable(str(exc)) from exc


def _close_result(call: Future[Any]) -> None:
    """Closes the lock file that a call has returned after its timeout."""
    if not call.cancelled() and call.exception() is None and isinstance(call.result(), BufferedIOBase | RawIOBase):
        call.result().close()


def outbox_gauges(outbox: Outbox | None) -> dict[str, Callable[[], float]]:
    """What waits in the outbox of this machine; called at any time."""
    if outbox is None:
        return {}
    return {
        "rows": lambda: outbox.rows,
        "rejected_rows": lambda: outbox.status.rejected_rows,
        "bytes": lambda: outbox.used_bytes,
        "limit_bytes": lambda: outbox.max_bytes,
        "age_s": lambda: max(0.0, time.time() - outbox.status.oldest) if outbox.status.oldest else 0.0,
        "damaged_files": lambda: outbox.status.damaged_files,
    }
