"""A streamed answer: reads the body of Groq's response, and passes it to the decoder in blocks."""

import asyncio
from contextlib import suppress

import aiohttp

from app.core.config import Settings
from app.core.text import storable
from app.core.upstream import UpstreamBroken, UpstreamBrokenEarly, UpstreamError, UpstreamUnreachable
from app.services.chat.block import Block
from app.services.groq.errors import Redactor, caused_by
from app.services.groq.flush_scheduler import FlushScheduler
from app.services.groq.sse_decoder import SseDecoder

_END_OF_BODY_TIMEOUT_S = 0.05


class GroqStream:
    """Implements `services.chat.ports.UpstreamAnswer`.

    The first block is read as soon as it arrives. Afterwards the tokens of a flush interval accumulate in aiohttp's
    buffer and are read as one block: waking the stream's task, parsing and sending cost several times as much as
    receiving a token. A stream that is slower than the interval is passed on as it arrives.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        settings: Settings,
        flush_scheduler: FlushScheduler,
        redactor: Redactor,
        choices: int = 1,
    ) -> None:
        """`choices` is how many the request asks for (`n`)."""
        self._response = response
        self._body = response.content
        self._settings = settings
        self._decoder = SseDecoder(max_event_bytes=settings.groq_max_event_bytes)
        self._flush_scheduler = flush_scheduler
        self._phase = flush_scheduler.assign_phase()
        self._next_flush = 0.0
        self._flushing = False
        self._redactor = redactor
        self._first_block: Block | None = None
        self._received_bytes = 0
        self._choices = choices
        self._finished_choices: set[int] = set()
        self._end_deadline: float | None = None
        self._ended = False

    async def wait_for_progress(self) -> None:
        """Returns at the first progress or a finish_reason; `read` then returns all that came until then.

        Raises an UpstreamError for a failure before: nothing was sent to the client, so it may be retried.
        Comments that come before the first chunk are dropped.
        """
        try:
            self._check_content_type()
            first = await self._receive()
            while not (first.progress_chunks or first.finished_choices or first.ended or first.error):
                if not first.chunks:
                    first.data = b""
                first.append(await self._receive())
                if len(first.data) > self._settings.groq_max_event_bytes:
                    raise UpstreamBroken("Groq sent more than an event's size before its first token")
            if not (first.progress_chunks or first.finished_choices):
                raise self._failure_before_progress(first)
        except BaseException:
            await self.aclose()
            raise
        self._first_block = first

    async def read(self) -> Block:
        if self._first_block is not None:
            first, self._first_block = self._first_block, None
            return first
        return await self._receive()

    async def aclose(self) -> None:
        """Returns the connection to the pool if the answer was read to its end, else closes it."""
        if self._ended and not self._body.is_eof() and self._body.exception() is None:
            # The end of the HTTP body follows `[DONE]` within microseconds; without it the connection is not reusable.
            with suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_END_OF_BODY_TIMEOUT_S):
                    await self._body.wait_eof()
        self._response.release()

    def _check_content_type(self) -> None:
        content_type = self._response.headers.get("content-type", "text/event-stream")
        if not content_type.lower().startswith("text/event-stream"):
            message = f"Groq answered with {content_type} where a stream was expected"
            raise UpstreamBroken(storable(message))

    def _failure_before_progress(self, first: Block) -> UpstreamError:
        if isinstance(first.error, UpstreamError) and not isinstance(first.error, UpstreamBroken):
            return first.error  # Groq's own error event, with its status. Other failures are UpstreamBrokenEarly.
        if not self._received_bytes:
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
            data = await self._read_body()
        except (aiohttp.ClientError, OSError) as exc:
            return self._connection_lost(exc)
        self._received_bytes += len(data)
        block = self._process(self._decoder.feed(data) if data else self._decoder.finish(), at_end=not data)
        if self._received_bytes > (limit := self._settings.chat_max_stream_bytes) and block.error is None:
            block.error = UpstreamBroken(f"Groq's stream is longer than {limit} bytes")
        return block

    async def _read_body(self) -> bytes:
        """Returns what has arrived, once a flush is due; empty at the end.

        After the last finish_reason the answer is whole: `GROQ_END_TIMEOUT_S` limits the wait for its end, however many
        reads that takes.
        """
        try:
            if not self._has_finished:
                await self._wait_for_flush()
                return await self._body.readany()
            if self._end_deadline is None:
                self._end_deadline = asyncio.get_running_loop().time() + self._settings.groq_end_timeout_s
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._end_deadline):
                    return await self._body.readany()
            return b""
        except RuntimeError as exc:  # aiohttp's own, if it closed the connection for what is not HTTP
            raise aiohttp.ClientPayloadError("the connection ended before the answer did") from exc

    async def _wait_for_flush(self) -> None:
        """Returns when the next flush is due, or at once when the body ends; raises what broke the connection."""
        if self._next_flush > asyncio.get_running_loop().time() and self._body.exception() is None:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_flush):
                    await self._body.wait_eof()  # the body usually ends later: this waits until the flush

    @property
    def _has_finished(self) -> bool:
        """Every choice has its finish_reason: the answer is whole, however the connection ends."""
        return len(self._finished_choices) >= self._choices

    def _process(self, block: Block, *, at_end: bool) -> Block:
        self._choices = max(self._choices, block.choices)
        self._finished_choices |= block.finished_choices
        if at_end and self._has_finished and not block.ended:
            block.ended, block.error = True, None
        self._redactor.redact_block(block)
        self._ended = block.ended
        self._flushing = self._flushing or bool(block.progress_chunks)  # from the first token on
        if self._has_finished:
            self._next_flush = 0
        elif self._flushing:
            self._next_flush = self._flush_scheduler.next_flush(self._phase)
        return block

    def _connection_lost(self, exc: Exception) -> Block:
        """Returns what arrived before the connection broke, with the error."""
        # aiohttp's reads raise the error first and would lose these bytes (in asyncio: python/cpython#75044).
        self._body.set_exception(None)  # type: ignore[arg-type]
        data = self._body.read_nowait()
        self._body.set_exception(exc)
        self._received_bytes += len(data)
        block = self._decoder.feed(data)
        if not (block.ended or block.error):
            block.error = caused_by(exc, UpstreamBroken("the connection to Groq broke off"))
        return self._process(block, at_end=True)
