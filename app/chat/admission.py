"""Who may come in: a bounded number of streams at once, while rows can be kept and the service is not stopping."""

import asyncio
import random
from collections import deque

from app.chat.drain import Drain
from app.chat.ports import ChatLog
from app.core.config import Settings
from app.core.errors import Overloaded, RowsUnavailable, ServerStopping

_RETRY_AFTER_S = 1
_SPREAD_S = 3  # those who are refused together are not to return together


class Admission:
    """Counts the streams that run, and the room that their rows will need. A few may wait for a place, for a moment;
    the others are refused at once, so that those inside keep their pace.
    """

    def __init__(self, settings: Settings, *, drain: Drain, log: ChatLog) -> None:
        self._max_active = settings.max_active_streams
        self._max_queued = settings.max_queued_chats
        self._queue_timeout_s = settings.queue_timeout_s
        self._drain = drain
        self._log = log
        self._queue: deque[asyncio.Future[None]] = deque()
        self._reserved_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.active = 0

    def refuse_if_full(self) -> None:
        """What `enter` would raise at once, for those who need not read a request to know."""
        self._check(0)
        if self.active >= self._max_active and len(self._queue) >= self._max_queued:
            raise self._overloaded()

    async def enter(self, row_bytes: int) -> None:
        """A place for one stream, and room for its row. Raises Overloaded, RowsUnavailable or ServerStopping."""
        self.refuse_if_full()
        self._check(row_bytes)
        if self.active < self._max_active:
            self.active += 1
            self._idle.clear()
        else:
            await self._wait_for_a_place()
        try:
            self._check(row_bytes)  # the wait may have been long enough for that to change
        except BaseException:
            self._pass_on()
            raise
        self._reserved_bytes += row_bytes

    def leave(self, row_bytes: int) -> None:
        """The stream is over, and its row durable or given up."""
        self._reserved_bytes -= row_bytes
        self._pass_on()

    def _check(self, row_bytes: int) -> None:
        if self._drain.begun:
            raise ServerStopping("this server is stopping; try again", retry_after=_RETRY_AFTER_S)
        if self._reserved_bytes + row_bytes > self._log.room:
            raise RowsUnavailable("chats cannot be recorded at the moment; try again", retry_after=_RETRY_AFTER_S)

    async def _wait_for_a_place(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await self._drain.within(self._queue_timeout_s, place)
        except BaseException as exc:
            if place in self._queue:
                self._queue.remove(place)
            elif not place.cancelled():  # it came at the same moment
                self._pass_on()
            if isinstance(exc, TimeoutError):
                self._check(0)
                raise self._overloaded() from exc
            raise

    def _pass_on(self) -> None:
        """A place that is free goes to whoever has waited longest."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.active -= 1
        if not self.active:
            self._idle.set()

    def _overloaded(self) -> Overloaded:
        message = f"all {self._max_active} streams of this worker are taken; try again"
        return Overloaded(message, retry_after=random.randint(1, _SPREAD_S))  # noqa: S311 # nosec B311

    async def wait_idle(self) -> None:
        """Returns when no stream runs, and no row waits."""
        await self._idle.wait()
