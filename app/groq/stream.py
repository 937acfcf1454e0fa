"""One streamed answer of Groq's: reads the connection, and hands what it read to the decoder."""

import asyncio
from contextlib import suppress

import aiohttp

from app.core.config import Settings
from app.core.errors import UpstreamBroken, UpstreamBrokenEarly, UpstreamError, UpstreamUnreachable
from app.groq.errors import cause_of
from app.groq.frames import Frames
from app.groq.gather import Gatherer
from app.groq.reader import all_that_came, take
from app.groq.redaction import Redactor
from app.groq.wire import Decoder
from app.services.chat.block import Block

_END_OF_BODY_S = 0.05
_CLOSING_S = 1


class GroqStream:
    """Satisfies `chat.ports.UpstreamStream`."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, settings: Settings, frames: Frames, redactor: Redactor
    ) -> None:
        self._response = response
        self._body = response.content
        self._settings = settings
        self._decoder = Decoder(max_event_bytes=settings.groq_max_event_bytes)
        self._frames = frames
        self._redactor = redactor
        self._gatherer: Gatherer | None = None
        self._first: Block | None = None
        self._raw_bytes = 0
        self._choices = 1
        self._finished: set[int] = set()
        self._ended = False

    async def await_progress(self) -> None:
        """Returns at the first progress, a finish_reason or the end; `read` then returns all that came until then.

        Raises an UpstreamError for a failure before: nothing was sent to the client, so that it may be retried.
        Comments that come before the first chunk are dropped.
        """
        try:
            self._check_content_type()
            first = await self._receive()
            while not (first.deltas or first.finished or first.ended or first.error):
                if not first.chunks:
                    first.data = b""
                first.append(await self._receive())
                if len(first.data) > self._settings.groq_max_event_bytes:
                    raise UpstreamBroken("Groq sent more than an event's size before its first token")
            if not (first.deltas or first.finished):
                raise self._failure_before_progress(first)
        except BaseException:
            await self.aclose()
            raise
        self._first = first

    async def read(self) -> Block:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._receive()

    def _check_content_type(self) -> None:
        kind = self._response.headers.get("content-type", "text/event-stream")
        if not kind.lower().startswith("text/event-stream"):
            raise UpstreamBroken(f"Groq answered with {kind} where a stream was expected")

    def _failure_before_progress(self, first: Block) -> UpstreamError:
        if isinstance(first.error, UpstreamError) and not isinstance(first.error, UpstreamBroken):
            return first.error  # Groq's own error event, with its status
        if not self._raw_bytes:
            failure: UpstreamError = UpstreamUnreachable("Groq closed the connection before it answered")
        else:
            message = first.error.message if first.error else first.early_stop
            failure = UpstreamBrokenEarly(message or "Groq's answer ended before its first token")
            failure.upstream_error_body = first.error.upstream_error_body if first.error else None
        failure.cause = first.error.cause if isinstance(first.error, UpstreamError) else None
        failure.__cause__ = first.error
        return failure

    async def _receive(self) -> Block:
        try:
            data = await self._next_data()
        except (aiohttp.ClientError, OSError) as exc:
            return self._broken_off(exc)
        self._raw_bytes += len(data)
        block = self._note(self._decoder.feed(data) if data else self._decoder.finish(), at_end=not data)
        if self._raw_bytes > (limit := self._settings.chat_max_stream_bytes) and block.error is None:
            block.error = UpstreamBroken(f"Groq's stream is longer than {limit} bytes")
        return block

    async def _next_data(self) -> bytes:
        """What has come; empty at the end. After the last finish_reason, the end is awaited for a moment only."""
        if not self._has_finished:
            return await all_that_came(self._body)
        try:
            async with asyncio.timeout(self._settings.groq_end_timeout_s):
                return await all_that_came(self._body)
        except TimeoutError:
            return b""

    @property
    def _has_finished(self) -> bool:
        """Every choice has its finish_reason, so that the answer is whole, however the connection ends."""
        return len(self._finished) >= self._choices

    def _gather_or_stop(self, block: Block) -> None:
        """From the first token on, until the last."""
        over = block.ended or block.error is not None or self._has_finished
        if self._gatherer is not None:
            if over:
                self._gatherer.stop()
            return
        connection = self._response.connection  # none, if the body has ended
        if not (self._frames.wanted and block.deltas) or over:
            return
        if connection is not None and connection.transport is not None:
            self._gatherer = Gatherer(connection.transport, self._body, frames=self._frames)
            self._body.on_eof(self._gatherer.stop)

    def _note(self, block: Block, *, at_end: bool) -> Block:
        self._choices = max(self._choices, block.choices)
        self._finished |= block.finished
        if at_end and self._has_finished and not block.ended:
            block.ended, block.error = True, None
        self._redactor.redact_block(block)
        self._ended = block.ended
        self._gather_or_stop(block)
        return block

    async def aclose(self) -> None:
        """Frees the connection: for the next chat if the answer was read to its end, else by closing it."""
        if self._ended and not self._body.at_eof():
            # The end of the HTTP body follows `[DONE]` by an instant; without it the connection is lost to the pool.
            with suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_END_OF_BODY_S):
                    await self._body.readany()
        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(_CLOSING_S):
                self._response.release()
                await self._response.wait_for_close()

    def _broken_off(self, exc: Exception) -> Block:
        """What came before the connection broke is still the client's; aiohttp's own reads would throw it away."""
        block = self._decoder.feed(take(self._body))
        if not (block.ended or block.error):
            block.error = broken = UpstreamBroken("the connection to Groq broke off")
            broken.cause = cause_of(exc)
            broken.__cause__ = exc
        return self._note(block, at_end=True)
