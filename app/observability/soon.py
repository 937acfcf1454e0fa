"""What can wait a moment is done for many chats at once."""

import asyncio
from collections.abc import Callable
from contextvars import Context

_WAIT_S = 0.1
_AT_ONCE = 20
"""So many in one turn of the event loop: when hundreds of chats end together, streams need not wait for all of them."""


class Soon:
    """Work that nobody waits for, done together a tenth of a second later. It must not raise.

    A process that is killed takes along what it had not done yet.

    Code that runs once for each chat finds nothing of itself in the processor's caches; doing it ten times in a row
    costs a third. And `[DONE]` need not wait for it.
    """

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []
        self._due = False
        self._closed = False

    def __call__(self, work: Callable[[], None]) -> None:
        self._work.append(work)
        if self._closed:
            self._run(len(self._work))
        elif not self._due:
            self._wake_up_in(_WAIT_S)

    def close(self) -> None:
        """Does what is left now, and whatever comes later at once."""
        self._closed = True
        while self._work:
            self._run(len(self._work))

    def _wake_up_in(self, seconds: float) -> None:
        self._due = True
        # In no chat's context: what is told of one is not to carry the ids of another.
        asyncio.get_running_loop().call_later(seconds, self._take_turn, context=Context())

    def _take_turn(self) -> None:
        self._due = False
        self._run(_AT_ONCE)
        if self._work and not self._due:
            self._wake_up_in(0)

    def _run(self, count: int) -> None:
        work, self._work = self._work[:count], self._work[count:]
        for each in work:
            each()
