"""When the blocks of fast streams are sent.

All streams of a worker share one schedule: what the processor has loaded into its caches for one stream is still there
for the next one. A token costs a third less than with a timer that each stream starts at a moment of its own.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from app.core.background import background_task

_PHASES = 4
_MAX_INTERVAL_S = 0.25
_LAG_CHECK_S = 0.05
_INTERVAL_PER_LAG = 4
_DECAY = 0.8
_CLOCK_RESOLUTION_S = 0.001  # the event loop counts in milliseconds: a timer may fire a little early


class FlushScheduler:
    """One per worker. `interval_s` is the time between two flushes of a stream.

    It is `min_interval_s` while the event loop keeps up. When the loop lags, the interval grows to a multiple of the
    lag, a quarter of a second at most: larger blocks need less CPU for the same tokens.
    """

    def __init__(self, min_interval_s: float) -> None:
        self._min_interval_s = min_interval_s
        self.interval_s = min_interval_s
        self._streams = 0

    def assign_phase(self) -> float:
        """Returns when in each interval a new stream is flushed, from 0 to 1. Four phases spread the load."""
        self._streams += 1
        return self._streams % _PHASES / _PHASES

    def next_flush(self, phase: float) -> float:
        """Returns the next multiple of the interval, shifted by the phase, on the event loop's clock.

        Returns 0, which has passed, if the minimal interval is 0.
        """
        if self._min_interval_s == 0:
            return 0
        now = asyncio.get_running_loop().time()
        return (int((now + _CLOCK_RESOLUTION_S) / self.interval_s - phase) + 1 + phase) * self.interval_s

    def measuring(self) -> AbstractAsyncContextManager[None]:
        """Measures how far the event loop lags until this is left; then the interval stays as it is."""
        return background_task(self._measure_lag(), name="flush_scheduler")

    def record_lag(self, lag_s: float) -> None:
        """Adapts the interval; it shrinks step by step when the lag is over."""
        wanted_s = min(_MAX_INTERVAL_S, _INTERVAL_PER_LAG * lag_s)
        self.interval_s = max(self._min_interval_s, wanted_s, self.interval_s * _DECAY)

    async def _measure_lag(self) -> None:
        while True:
            due = time.monotonic() + _LAG_CHECK_S
            await asyncio.sleep(_LAG_CHECK_S)
            self.record_lag(max(0.0, time.monotonic() - due))
