"""A limit on each of many short waits, for the price of one timer."""

import asyncio
from types import TracebackType
from typing import Self


class WaitLimit:
    """`with limit.of(seconds): await …` raises TimeoutError when that takes longer. Made in the task that waits.

    `asyncio.timeout` sets and cancels a timer for each wait, and a stream waits twice for each block. This one's timer
    is set again only when it has gone off too early: once in several seconds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only a task can wait # nosec B101
        self._task = task
        self._waits = False
        self._others_cancelled = 0
        self._expired = False

    def of(self, seconds: float) -> Self:
        """The limit of the wait that begins now."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()
        return self

    def expire(self) -> None:
        """The wait that is under way, if one is, is over now."""
        if self._waits and not self._expired:
            self._expired = True
            self._task.cancel()

    def close(self) -> None:
        """No wait will follow."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._waits = True
        self._others_cancelled = self._task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None) -> None:
        self._waits = False
        if self._expired:
            self._expired = False
            if self._task.uncancel() <= self._others_cancelled and kind is asyncio.CancelledError:
                raise TimeoutError from exc

    def _set_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._waits:
            return  # the next wait sets it
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self.expire()
