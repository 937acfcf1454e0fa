"""Who may come in: a bounded number of streams at once, while rows can be kept and the service is not stopping."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.chat.drain import Drain
from app.chat.ports import ChatLog
from app.core.errors import Overloaded, RowsUnavailable, ServerStopping

_RETRY_AFTER_S = 1


class Admission:
    """Counts the streams that run; refuses at once when there is no room, so that those inside keep their pace."""

    def __init__(self, *, max_active: int, drain: Drain, log: ChatLog) -> None:
        self._max_active = max_active
        self._drain = drain
        self._log = log
        self._idle = asyncio.Event()
        self._idle.set()
        self.active = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Room for one stream. Raises Overloaded, RowsUnavailable or ServerStopping."""
        self._check()
        self.active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.active -= 1
            if not self.active:
                self._idle.set()

    def _check(self) -> None:
        if self._drain.begun:
            raise ServerStopping("this server is stopping; try again", retry_after=_RETRY_AFTER_S)
        if not self._log.available:
            raise RowsUnavailable("chats cannot be recorded at the moment; try again", retry_after=_RETRY_AFTER_S)
        if self.active >= self._max_active:
            message = f"all {self._max_active} streams of this worker are taken; try again"
            raise Overloaded(message, retry_after=_RETRY_AFTER_S)

    async def wait_idle(self) -> None:
        """Returns when no stream runs."""
        await self._idle.wait()
