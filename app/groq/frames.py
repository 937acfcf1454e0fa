"""When blocks are due: at moments that all streams of a worker share, so that what is done for one is still at hand for
the next. That costs a third less than a timer of each stream's own.
"""

import asyncio
import time

_LOOK_EVERY_S = 0.05
_TURNS = 4
_LONGEST_S = 0.25
_WORTH = 4
"""A frame is to last this many times as long as the event loop needs for what is due in it."""
_CALMER = 0.8
_ROUNDING_S = 0.001  # the event loop counts in milliseconds: a timer may find itself a little early


class Frames:
    """`length_s` is how long they are now: `least_s` as long as the worker keeps up. When it does not, they grow, as
    larger blocks are less work for the same tokens. A quarter of a second is the most that readers wait.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self.length_s = least_s
        self._streams = 0
        self._watcher: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """False where every read is to be relayed at once."""
        return self._least_s > 0

    def phase(self) -> float:
        """Where in a frame the next stream's turn is, so that newcomers need not wait for all of them at once."""
        self._streams += 1
        return self._streams % _TURNS / _TURNS

    def next(self, phase: float) -> float:
        """When the next frame of such streams begins, on the event loop's clock."""
        now = asyncio.get_running_loop().time()
        return (int((now + _ROUNDING_S) / self.length_s - phase) + 1 + phase) * self.length_s

    def start(self) -> None:
        """Looks at how well the event loop keeps up, until `stop`."""
        self._watcher = asyncio.create_task(self._watch(), name="frames")

    async def stop(self) -> None:
        """Frames stay as they are."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    def note(self, late_s: float) -> None:
        """The event loop came so much later than it was asked to."""
        needed_s = min(_LONGEST_S, _WORTH * late_s)
        self.length_s = max(self._least_s, needed_s, self.length_s * _CALMER)

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self.note(max(0.0, time.monotonic() - due))
