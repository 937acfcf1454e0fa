"""The story of one chat: admit, open, relay, save, and a receipt as the last word."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import anyio

from app.chat.admission import Admission
from app.chat.block import Block
from app.chat.caller import Caller
from app.chat.drain import Drain
from app.chat.events import DONE, error_event
from app.chat.exchange import Exchange
from app.chat.offer import model_of
from app.chat.patience import Patience, server_stops
from app.chat.ports import ChatLog, ChatWatch, Meter, Models, Probe, Upstream, UpstreamStream
from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.content import without_content
from app.core.errors import InternalError, NotRecorded, ServiceError, UpstreamBroken
from app.core.record import ChatRecord, Kept
from app.schemas.chat import ChatRequest

_PIECE_BYTES = 2**16


class ChatService:
    """Relays chats and keeps them. One for the life of the process; it holds nothing of any single chat."""

    def __init__(
        self,
        settings: Settings,
        *,
        groq: Upstream,
        models: Models,
        log: ChatLog,
        probe: Probe,
        meter: Meter,
        drain: Drain,
    ) -> None:
        self._settings = settings
        self._groq = groq
        self._models = models
        self._log = log
        self._probe = probe
        self._meter = meter
        self._drain = drain
        self._admission = Admission(settings, drain=drain, log=log)
        self._beside: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """The streams that run, and those whose rows are being kept."""
        return self._admission.active

    def refuse_if_full(self) -> None:
        """Raises Overloaded, RowsUnavailable or ServerStopping where a chat would be turned away at once."""
        self._admission.refuse_if_full()

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for the streams that still run and the rows that are being kept, but not for ever."""
        with anyio.move_on_after(timeout_s):
            await self._admission.wait_idle()
            if self._beside:
                await asyncio.wait(self._beside)  # it cancels nobody when the time is up

    async def answer(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes]:
        """The answer, byte for byte as Groq sent it.

        A stream comes in blocks of events; the last one is `[DONE]`, sent when the row is durable. Raises a
        ServiceError while nothing has been sent; a later failure is an `event: error`, without `[DONE]`.
        Without `stream`, Groq's JSON comes when the row is durable, and every failure is raised.
        """
        exchange, watch = await self._admit(request, caller)
        patience = Patience(self._settings, self._drain, exchange.pace)
        upstream: UpstreamStream | None = None
        try:
            upstream = await patience.opening(self._open(exchange, watch))
            while not exchange.upstream_ended:
                block = await self._read(upstream, exchange, patience)
                if block.data:
                    yield block.data
                if block.error:
                    raise block.error
            exchange.complete(time.monotonic())
        except ServiceError as error:
            exchange.fail(error, time.monotonic())
        except Exception as bug:  # noqa: BLE001 - whatever it is, the chat gets its row and the client its error
            exchange.fail(_internal(bug), time.monotonic())
        except (asyncio.CancelledError, GeneratorExit):
            if self._drain.over:  # cut off while its client took its time
                exchange.fail(server_stops(), time.monotonic())
            else:
                exchange.leave(time.monotonic())
            raise
        finally:
            patience.end()
            saving = self._save(exchange, request, watch)
            if upstream is not None:
                _ = self._run_beside(upstream.aclose())  # Groq is let go of meanwhile
            await asyncio.shield(saving)
        for part in _last_parts(exchange):
            yield part

    async def _admit(self, request: ChatRequest, caller: Caller) -> tuple[Exchange, ChatWatch]:
        """A place among the streams, and room for the row; both are given back when the row is kept."""
        requested, model = model_of(request, self._settings)
        asked, row_bytes = time.monotonic(), self._settings.row_bytes(caller.body_bytes)
        await self._admission.enter(row_bytes)
        try:
            now = time.monotonic()
            exchange = Exchange(
                request, caller, requested_model=requested, model=model, row_bytes=row_bytes, asked=asked, now=now
            )
            watch = self._probe.chat_began(
                exchange.request_id, exchange.payload, arrived=caller.arrived, queue_s=exchange.pace.queue_s
            )
        except BaseException:
            self._admission.leave(row_bytes)
            raise
        exchange.lease.hold()
        exchange.traceparent = watch.traceparent
        return exchange, watch

    async def _open(self, exchange: Exchange, watch: ChatWatch) -> UpstreamStream:
        def on_attempt(attempt: Attempt) -> None:
            exchange.attempted(attempt)
            watch.attempted(attempt)

        return await self._groq.open(exchange.payload, on_attempt=on_attempt)

    async def _read(self, upstream: UpstreamStream, exchange: Exchange, patience: Patience) -> Block:
        """The next block, and what it means for the chat."""
        exchange.pace.resume(time.monotonic())
        began = time.monotonic()
        block = await patience.next_block(upstream)
        now = time.monotonic()
        exchange.add(block, now, waited_s=now - began)
        if not exchange.streamed:
            block = replace(block, data=b"")  # sent when the row is durable
        if exchange.answer_bytes > (limit := self._settings.chat_max_answer_bytes):
            return replace(block, error=UpstreamBroken(f"Groq's answer is longer than {limit} bytes"))
        return block

    def _save(self, exchange: Exchange, request: ChatRequest, watch: ChatWatch) -> asyncio.Task[None]:
        """Queues the row at once; cancelling the wait for the rest does not cancel the commit."""
        try:
            record = exchange.record(self._models.price)
            if request.store is False or not self._settings.stores_content:
                record = without_content(record)
            durable = self._log.add(record)
            self._meter.ended(record)
        except BaseException:
            self._leave(exchange)
            raise
        return self._run_beside(self._finish(exchange, record, durable, watch))

    async def _finish(self, exchange: Exchange, record: ChatRecord, durable: Awaitable[Kept], watch: ChatWatch) -> None:
        """Waits until the row is durable, and tells who watches how that went."""
        began, error, kept, lost = time.monotonic(), exchange.error, None, None
        try:
            kept = await durable
        except NotRecorded as exc:
            lost = exc
            record = exchange.lose(lost, record)
        finally:
            self._leave(exchange)
        watch.finished(record, error, commit_s=time.monotonic() - began, kept=kept, lost=lost)

    def _leave(self, exchange: Exchange) -> None:
        """The row is durable or given up: nothing of the request is needed any longer."""
        self._admission.leave(exchange.row_bytes)
        exchange.lease.release()

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that ends even if its chat is cancelled; `wait_idle` waits for it."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task


def _last_parts(exchange: Exchange) -> Iterator[bytes]:
    """What follows once the row is durable: the receipt or the error of a stream, or the whole answer, in pieces that a
    slow client can take within `CLIENT_STALL_TIMEOUT_S` each. Raises the error of a chat that sent nothing.
    """
    if exchange.error and not exchange.began:
        raise exchange.error
    if exchange.error:
        yield error_event(exchange.error)
    elif exchange.streamed:
        yield DONE
    else:
        body = exchange.whole_body
        yield from (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def _internal(bug: Exception) -> InternalError:
    error = InternalError("the service failed; its operator finds the cause in the log under this request's id")
    error.__cause__ = bug
    return error
