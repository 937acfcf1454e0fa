"""A clock that stands still while code runs, and advances to the next timer when the event loop is idle.

For code that waits only for timers of its own process: a minute takes no time, and lasts exactly a minute. Waiting for
a socket or a thread would time out at once.
"""

import asyncio
import selectors
from selectors import SelectorKey


class VirtualClock:
    """Replaces `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Like a process that was busy for as long."""
        self.now += seconds

    def event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_Selector(self))


class _Selector(selectors.DefaultSelector):
    """Does not wait while there is a timer."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self._clock.advance(timeout)
        return ready
