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
    """One per process; what belongs to one chat is handed in with its `Pace`."""

    def __init__(self, settings: Settings, drain: Drain) -> None:
        self._settings = settings
        self._drain = drain

    async def opening(self, answer: Awaitable[UpstreamStream]) -> UpstreamStream:
        """An answer that begins. Raises what Groq's client raises, UpstreamTimeout or ServerDraining."""
        chat_s = self._settings.chat_timeout_s
        try:
            return await self._drain.within(chat_s, answer)
        except TimeoutError as exc:
            raise self._out_of_time(_too_long(chat_s)) from exc

    async def next_block(self, upstream: UpstreamStream, pace: Pace) -> Block:
        """What comes next: Groq's words, a comment over a long silence, or the error that ends it.

        After the first token, blocks gather for a frame of a screen, unless the stream is slower than that anyway.
        """
        frame_s = self._settings.stream_flush_ms / 1000
        if pace.first_token_at is not None and pace.last_wait_s < frame_s:
            await upstream.pause(frame_s)
        began = time.monotonic()
        left_s, why = self._left(pace, began)
        keepalive_s = self._settings.stream_keepalive_s
        try:
            if left_s <= 0 or self._drain.over:
                raise TimeoutError
            return await self._drain.within(min(left_s, keepalive_s), upstream.read())
        except TimeoutError:
            if self._drain.over or left_s <= keepalive_s:
                return Block(error=self._out_of_time(why))
        return Block(data=KEEPALIVE)

    def _left(self, pace: Pace, now: float) -> tuple[float, str]:
        """The time until the first of the limits is reached, and the sentence for it."""
        settings = self._settings
        chat = (pace.admitted + settings.chat_timeout_s - now, _too_long(settings.chat_timeout_s))
        if pace.first_token_at is None:
            token_s = settings.groq_first_token_timeout_s
            token = (pace.asked_groq_at + token_s - now, f"Groq sent no token within {token_s:g} s")
        else:
            gap_s = settings.chat_gap_timeout_s
            token = (gap_s - pace.silence_s, f"Groq fell silent for {gap_s:g} s")
        return min(chat, token)

    def _out_of_time(self, why: str) -> ServiceError:
        return server_stops() if self._drain.over else UpstreamTimeout(why)


def server_stops() -> ServerDraining:
    """The time of those who were in is up."""
    return ServerDraining("the server stops; ask again", retry_after=1)


def _too_long(seconds: float) -> str:
    return f"the chat took longer than {seconds:g} s"
