"""When blocks are due: at moments that all streams of a worker share, so that what is done for one is still at hand for
the next. That costs a third less than a timer of each stream's own.
"""

import asyncio
import time
from contextlib import suppress

_LOOK_EVERY_S = 0.05
_LONGEST_S = 0.25
_WORTH = 4
"""A frame is to last this many times as long as the event loop needs for what is due in it."""
_CALMER = 0.8
_ROUNDING = 1e-3  # a timer that goes off in time may find itself a hair early


class Frames:
    """`length_s` is how long they are now: `least_s` as long as the worker keeps up. When it does not, frames grow: larger blocks are fewer blocks, and
    fewer blocks are less work for the same tokens. A quarter of a second is the most that a reader is made to wait.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self.length_s = least_s
        self._watcher: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """False where every read is to be relayed at once."""
        return self._least_s > 0

    def next(self) -> float:
        """When the next frame begins, on the event loop's clock."""
        now = asyncio.get_running_loop().time()
        return (int(now / self.length_s + _ROUNDING) + 1) * self.length_s

    def start(self) -> None:
        """Looks at how well the event loop keeps up, until `stop`."""
        self._watcher = asyncio.create_task(self._watch(), name="frames")

    async def stop(self) -> None:
        """Frames stay as they are."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher

    def note(self, late_s: float) -> None:
        """The event loop came so much later than it was asked to."""
        needed_s = min(_LONGEST_S, _WORTH * late_s)
        self.length_s = max(self._least_s, needed_s, self.length_s * _CALMER)

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self.note(max(0.0, time.monotonic() - due))
