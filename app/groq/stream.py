"""One answer of Groq's as it arrives: reads the connection, hands what it read to the decoder."""

import asyncio
from contextlib import suppress

import aiohttp

from app.chat.block import Block
from app.core.errors import UpstreamBroken, UpstreamUnreachable
from app.groq.frames import Frames
from app.groq.gather import Gatherer
from app.groq.reader import all_that_came, take
from app.groq.secret import Secret
from app.groq.wire import Decoder

_END_OF_BODY_S = 0.05
_CLOSING_S = 1


class GroqStream:
    """Satisfies `chat.ports.UpstreamStream`."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, max_event_bytes: int, frames: Frames, secret: Secret
    ) -> None:
        self._response = response
        self._body = response.content
        self._decoder = Decoder(max_event_bytes=max_event_bytes)
        self._frames = frames
        self._secret = secret
        self._gatherer: Gatherer | None = None
        self._first: Block | None = None
        self._ended = False
        self._finished = False

    async def await_first(self) -> None:
        """Returns when there is something to relay. An error that comes first is raised: nothing was sent yet.

        Comments that come before it are dropped.
        """
        try:
            kind = self._response.headers.get("content-type", "text/event-stream")
            if not kind.startswith("text/event-stream"):
                raise UpstreamBroken(f"Groq answered with {kind} where a stream was asked for")
            block = await self._receive()
            while not (block.chunks or block.ended or block.error):
                block = await self._receive()
            if not block.chunks:
                if not self._body.total_bytes:
                    raise UpstreamUnreachable("Groq closed the connection before it answered") from block.error
                raise block.error or UpstreamBroken("Groq's answer ended before it began")
        except BaseException:
            await self.aclose()
            raise
        self._first = block

    async def read(self) -> Block:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._receive()

    async def _receive(self) -> Block:
        try:
            data = await all_that_came(self._body)
        except (aiohttp.ClientError, OSError) as exc:
            return self._broken_off(exc)
        return self._note(self._decoder.feed(data) if data else self._decoder.finish(), at_end=not data)

    def _gather_or_stop(self, block: Block) -> None:
        """From the first token on, until the last."""
        over = block.ended or block.error is not None
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
        """Once Groq has said why it stopped, the answer is whole, however the connection ends."""
        self._finished = self._finished or block.finish_reason is not None
        if at_end and self._finished and not block.ended:
            block.ended, block.error = True, None
        self._secret.hide_in_block(block)
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
            block.error = UpstreamBroken("the connection to Groq broke off")
            block.error.__cause__ = exc
        return self._note(block, at_end=True)
