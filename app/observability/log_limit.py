"""A limit on lines that callers without a valid key can cause: the log is theirs to fill otherwise."""

import asyncio
import time
from collections.abc import Callable
from contextvars import Context

import structlog

_WINDOW_S = 1

log = structlog.get_logger(__name__)


class LineLimit:
    """Allows `per_s` lines of one event in a second. At its end, a line says how many were suppressed.

    It belongs to an event loop, once something is suppressed.
    """

    def __init__(self, event: str, *, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._per_s = per_s
        self._clock = clock
        self._ends = 0.0
        self._allowed = 0
        self._suppressed = 0

    def allows(self) -> bool:
        """Whether one more may be written; if not, it is counted."""
        now = self._clock()
        if now >= self._ends:
            self._ends, self._allowed = now + _WINDOW_S, 0
        if self._allowed < self._per_s:
            self._allowed += 1
            return True
        self._suppressed += 1
        if self._suppressed == 1:
            # In no request's context: the line is not to carry the trace of one of them.
            asyncio.get_running_loop().call_later(self._ends - now, self._summarize, context=Context())
        return False

    def _summarize(self) -> None:
        count, self._suppressed = self._suppressed, 0
        log.info("log.lines_suppressed", suppressed_event=self._event, count=count)
