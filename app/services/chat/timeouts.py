"""The time limits of one chat, the timer that they share, and the drain that ends all waits of a process."""

import asyncio
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

from app.core.config import Settings
from app.core.errors import DrainExpired, ServiceError
from app.core.upstream import UpstreamTimeout
from app.services.chat.block import KEEPALIVE, Block
from app.services.chat.ports import UpstreamAnswer
from app.services.chat.timing import ChatTiming

_Result = TypeVar("_Result")


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


class Drain:
    """A process that stops: no new chats, time for running chats to finish, then an end to them. One per process.

    `started`: no chat is admitted any longer. `expired`: the grace period is over.
    """

    def __init__(self) -> None:
        self.started = False
        self.expired = False
        self._timeouts: set[ReusableTimeout] = set()

    def start(self, grace_s: float) -> None:
        """Starts the grace period. Called on the event loop after SIGTERM or SIGINT; in gunicorn with a delay."""
        if not self.started:
            self.started = True
            asyncio.get_running_loop().call_later(grace_s, self.expire)

    def expire(self) -> None:
        """Ends every current wait with a timeout, and every later one at once."""
        self.expired = True
        for timeout in self._timeouts:
            timeout.expire()

    def timeout(self) -> ReusableTimeout:
        """Returns a timeout whose waits also end when the drain expires. Hand it back with `release`."""
        timeout = ReusableTimeout()
        self._timeouts.add(timeout)
        return timeout

    def release(self, timeout: ReusableTimeout) -> None:
        """Closes the timeout. No wait may follow."""
        self._timeouts.discard(timeout)
        timeout.close()

    async def wait(self, awaitable: Awaitable[_Result], *, timeout_s: float) -> _Result:
        """Waits at most that long. Raises TimeoutError, early if the drain expires."""
        timeout = self.timeout()
        try:
            with timeout.limit(0 if self.expired else timeout_s):
                return await awaitable
        finally:
            self.release(timeout)


class StreamTimeouts:
    """Limits the whole chat, the time between two chunks, and the silence before a keep-alive comment.

    One per chat. `close` has to follow.
    """

    def __init__(self, settings: Settings, drain: Drain, timing: ChatTiming) -> None:
        self._settings = settings
        self._drain = drain
        self._timing = timing
        self._timeout = drain.timeout()

    def close(self) -> None:
        """Ends the use of the timer."""
        self._drain.release(self._timeout)

    async def open(self, opening: Awaitable[UpstreamAnswer]) -> UpstreamAnswer:
        """Returns the opened answer. Raises what the provider's client raises, UpstreamTimeout or DrainExpired."""
        try:
            with self._timeout.limit(0 if self._drain.expired else self._settings.chat_timeout_s):
                return await opening
        except TimeoutError as exc:
            raise (DrainExpired() if self._drain.expired else self._chat_timeout()) from exc

    async def read(self, answer: UpstreamAnswer) -> Block:
        """Returns the next block, a keep-alive comment after a long silence, or a block with the timeout's error."""
        now, keepalive_s = time.monotonic(), self._settings.stream_keepalive_s
        left_s = min(self._chat_left_s(now), self._chunk_left_s())
        try:
            if left_s <= 0 or self._drain.expired:
                raise TimeoutError
            with self._timeout.limit(min(left_s, keepalive_s)):
                return await answer.read()
        except TimeoutError:
            if self._drain.expired or left_s <= keepalive_s:
                return Block(error=self._expired_limit(now))
        return Block(data=KEEPALIVE)

    def _chat_left_s(self, now: float) -> float:
        return self._timing.admitted + self._settings.chat_timeout_s - now

    def _chunk_left_s(self) -> float:
        """The seconds until the next chunk is overdue. The provider's client limits the wait for the first token."""
        return self._settings.inter_token_timeout_s - self._timing.silence_s

    def _expired_limit(self, now: float) -> ServiceError:
        """The error for the limit that was reached first."""
        if self._drain.expired:
            return DrainExpired()
        if self._chat_left_s(now) <= self._chunk_left_s():
            return self._chat_timeout()
        return UpstreamTimeout(f"the model sent no token for {self._settings.inter_token_timeout_s:g} s")

    def _chat_timeout(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"the chat took longer than {self._settings.chat_timeout_s:g} s")
