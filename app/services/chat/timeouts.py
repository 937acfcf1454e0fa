"""The time limits of one chat while it waits for the provider."""

import time
from collections.abc import Awaitable

from app.core.config import Settings
from app.core.errors import DrainExpired, ServiceError
from app.core.upstream_errors import UpstreamTimeout
from app.services.chat.block import KEEPALIVE, Block
from app.services.chat.drain import Drain
from app.services.chat.ports import UpstreamAnswer
from app.services.chat.timing import ChatTiming


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
