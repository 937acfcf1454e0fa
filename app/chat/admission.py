"""Who may come in: a bounded number of streams at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.errors import Overloaded


class Admission:
    """Counts the streams that run; refuses at once when there is no room, so that those inside keep their pace."""

    def __init__(self, *, max_active: int) -> None:
        self._max_active = max_active
        self._idle = asyncio.Event()
        self._idle.set()
        self.active = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Room for one stream. Raises Overloaded."""
        if self.active >= self._max_active:
            raise Overloaded(f"all {self._max_active} streams of this worker are taken; try again", retry_after=1)
        self.active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.active -= 1
            if not self.active:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when no stream runs."""
        await self._idle.wait()
