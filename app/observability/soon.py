"""What can wait a moment is done for many chats at once."""

import asyncio
from collections.abc import Callable

_WAIT_S = 0.1


class Soon:
    """Work that nobody waits for, done together a tenth of a second later. It must not raise.

    Code that runs once for each chat finds nothing of itself in the processor's caches; doing it ten times in a row
    costs a third. And `[DONE]` need not wait for it.
    """

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, work: Callable[[], None]) -> None:
        self._work.append(work)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self.run)

    def run(self) -> None:
        """Does what is left, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        work, self._work = self._work, []
        for each in work:
            each()
