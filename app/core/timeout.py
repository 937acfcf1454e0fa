"""A time limit for many short waits in one task."""

import asyncio
from types import TracebackType
from typing import Self


class ReusableTimeout:
    """`with timeout.limit(seconds): await …` raises TimeoutError when the wait takes longer.

    Create it in the task that waits. `asyncio.timeout` creates and cancels a timer for each wait, and a stream waits
    twice for each block. Here the timer is set again only when it fires before the deadline, once in several seconds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only a task can wait # nosec B101
        self._task = task
        self._waiting = False
        self._cancelled_before = 0
        self._expired = False

    def limit(self, seconds: float) -> Self:
        """Sets the limit of the wait that follows."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()
        return self

    def expire(self) -> None:
        """Ends the current wait, if there is one, with TimeoutError."""
        if self._waiting and not self._expired:
            self._expired = True
            self._task.cancel()

    def close(self) -> None:
        """Cancels the timer. No wait may follow."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._waiting = True
        self._cancelled_before = self._task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None) -> None:
        self._waiting = False
        if self._expired:
            self._expired = False
            if self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
                raise TimeoutError from exc

    def _set_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._waiting:
            return  # the next wait sets the timer
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self.expire()
