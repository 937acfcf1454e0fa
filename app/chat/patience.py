"""How long a chat waits for Groq, and what it says when the time is up."""

import time
from collections.abc import Awaitable

from app.chat.block import Block
from app.chat.drain import Drain
from app.chat.events import KEEPALIVE
from app.chat.pace import Pace
from app.chat.ports import UpstreamStream
from app.core.config import Settings
from app.core.errors import ServerDraining, ServiceError, UpstreamTimeout


class Patience:
    """One for each chat, whose times `pace` knows; `end` ends it."""

    def __init__(self, settings: Settings, drain: Drain, pace: Pace) -> None:
        self._settings = settings
        self._drain = drain
        self._pace = pace
        self._limit = drain.limit()

    def end(self) -> None:
        """The chat waits for Groq no longer."""
        self._drain.release(self._limit)

    async def opening(self, answer: Awaitable[UpstreamStream]) -> UpstreamStream:
        """An answer that begins. Raises what Groq's client raises, UpstreamTimeout or ServerDraining."""
        try:
            with self._limit.of(0 if self._drain.over else self._settings.chat_timeout_s):
                return await answer
        except TimeoutError as exc:
            raise (server_stops() if self._drain.over else self._too_long()) from exc

    async def next_block(self, upstream: UpstreamStream) -> Block:
        """What comes next: Groq's words, a comment over a long silence, or the error that ends it."""
        now, keepalive_s = time.monotonic(), self._settings.stream_keepalive_s
        left_s = min(self._chat_left_s(now), self._token_left_s())
        try:
            if left_s <= 0 or self._drain.over:
                raise TimeoutError
            with self._limit.of(min(left_s, keepalive_s)):
                return await upstream.read()
        except TimeoutError:
            if self._drain.over or left_s <= keepalive_s:
                return Block(error=self._out_of_time(now))
        return Block(data=KEEPALIVE)

    def _chat_left_s(self, now: float) -> float:
        return self._pace.admitted + self._settings.chat_timeout_s - now

    def _token_left_s(self) -> float:
        """Until the next token is overdue. The first one has come: a stream opens with it."""
        return self._settings.chat_gap_timeout_s - self._pace.silence_s

    def _out_of_time(self, now: float) -> ServiceError:
        """The error for the limit that was reached first."""
        if self._drain.over:
            return server_stops()
        if self._chat_left_s(now) <= self._token_left_s():
            return self._too_long()
        return UpstreamTimeout(f"Groq fell silent for {self._settings.chat_gap_timeout_s:g} s")

    def _too_long(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"the chat took longer than {self._settings.chat_timeout_s:g} s")


def server_stops() -> ServerDraining:
    """The time of those who were in is up."""
    return ServerDraining("the server stops; ask again", retry_after=1)
