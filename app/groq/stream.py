"""One answer of Groq's as it arrives: reads the connection, hands what it read to the decoder."""

import asyncio
from contextlib import suppress
from typing import cast

import aiohttp
import httpx2

from app.chat.block import Block
from app.core.errors import UpstreamBroken, UpstreamUnreachable
from app.groq.wire import Decoder

_END_OF_BODY_S = 0.05
_CLOSING_S = 1


class GroqStream:
    """Satisfies `chat.ports.UpstreamStream`."""

    def __init__(self, response: httpx2.Response, *, max_event_bytes: int) -> None:
        self._response = response
        self._body = _body_of(response)
        self._decoder = Decoder(max_event_bytes=max_event_bytes)
        self._first: Block | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self._finished = False
        self._body.on_eof(self._wake_up)

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
            data = await self._body.readany()
        except (aiohttp.ClientError, OSError) as exc:
            return self._broken_off(exc)
        return self._note(self._decoder.feed(data) if data else self._decoder.finish(), at_end=not data)

    def _note(self, block: Block, *, at_end: bool) -> Block:
        """Once Groq has said why it stopped, the answer is whole, however the connection ends."""
        self._finished = self._finished or block.finish_reason is not None
        if at_end and self._finished and not block.ended:
            block.ended, block.error = True, None
        self._ended = block.ended
        return block

    async def pause(self, seconds: float) -> None:
        if self._body.is_eof() or self._body.exception():
            return
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(seconds, self._wake_up)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    async def aclose(self) -> None:
        """Frees the connection: for the next chat if the answer was read to its end, else by closing it."""
        if self._ended and not self._body.at_eof():
            # The end of the HTTP body follows `[DONE]` by an instant; without it the connection is lost to the pool.
            with suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_END_OF_BODY_S):
                    await self._body.readany()
        with suppress(httpx2.HTTPError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_CLOSING_S):
                await self._response.aclose()

    def _wake_up(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _broken_off(self, exc: Exception) -> Block:
        """What came before the connection broke is still the client's; aiohttp's own reads would throw it away."""
        rest = self._body._read_nowait(-1) if self._body._buffer else b""  # noqa: SLF001
        block = self._decoder.feed(rest)
        if not (block.ended or block.error):
            block.error = UpstreamBroken("the connection to Groq broke off")
            block.error.__cause__ = exc
        return self._note(block, at_end=True)


def _body_of(response: httpx2.Response) -> aiohttp.StreamReader:
    """The aiohttp reader under the SDK's response: it hands over all that has come in one piece, and knows its end.

    httpx2 wraps the stream of its transport once, and the SDK's aiohttp transport keeps the response in its own.
    """
    stream = response.stream
    stream = getattr(stream, "_stream", stream)
    return cast("aiohttp.ClientResponse", stream._aiohttp_response).content  # type: ignore[union-attr]  # noqa: SLF001
