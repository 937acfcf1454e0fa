"""A clock that stands still while code runs, and jumps to the next timer when an event loop has nothing else to do.

For code that waits for its own process alone: what takes a minute there is over at once, and lasts exactly a minute
however busy the machine is. Whoever waits for a socket or a thread would be timed out before either can answer.
"""

import asyncio
import selectors
from selectors import SelectorKey


class VirtualClock:
    """Stands in for `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """As if the process had been busy for so long."""
        self.now += seconds

    def event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_Selector(self))


class _Selector(selectors.DefaultSelector):
    """Waits for nothing as long as there is a timer."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self._clock.advance(timeout)
        return ready
