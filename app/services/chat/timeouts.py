"""The time limits of one chat while it waits for the provider, and the drain that ends all waits of a process."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from app.core.config import Settings
from app.core.errors import DrainExpired, ServiceError
from app.core.timeout import ReusableTimeout
from app.core.upstream import UpstreamTimeout
from app.services.chat.block import KEEPALIVE, Block
from app.services.chat.ports import UpstreamAnswer
from app.services.chat.timing import ChatTiming

_Result = TypeVar("_Result")


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
