"""The story of one chat: admit, open, relay, save, and a receipt as the last word."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio

from app.chat.admission import Admission
from app.chat.block import Block
from app.chat.caller import Caller
from app.chat.drain import Drain
from app.chat.events import DONE, error_event
from app.chat.exchange import Exchange
from app.chat.ports import ChatLog, ChatWatch, Probe, Upstream, UpstreamStream
from app.core.attempt import Attempt
from app.core.config import Settings
from app.core.errors import InternalError, NotRecorded, ServerDraining, ServiceError, UpstreamTimeout
from app.core.record import ChatRecord
from app.schemas.chat import ChatRequest


class ChatService:
    """Relays chats and keeps them. One for the life of the process; it holds nothing of any single chat."""

    def __init__(self, settings: Settings, *, groq: Upstream, log: ChatLog, probe: Probe, drain: Drain) -> None:
        self._settings = settings
        self._groq = groq
        self._log = log
        self._probe = probe
        self._drain = drain
        self._admission = Admission(max_active=settings.max_active_streams, drain=drain, log=log)
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """The streams that run."""
        return self._admission.active

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for the streams that still run and the rows that are being kept, but not for ever."""
        with anyio.move_on_after(timeout_s):
            await self._admission.wait_idle()
            if self._ending:
                await asyncio.wait(self._ending)  # it cancels nobody when the time is up

    async def stream(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes]:
        """Groq's events as they came, in blocks; the last one is `[DONE]`, sent when the row is durable.

        Raises a ServiceError while nothing has been sent. Later a failure is an `event: error`, without `[DONE]`.
        """
        asked = time.monotonic()
        with self._admission.slot():
            exchange = self._begin(request, caller, asked)
            watch = self._watch(exchange)
            upstream: UpstreamStream | None = None
            try:
                upstream = await self._open(exchange, watch)
                while not exchange.upstream_ended:
                    block = await self._read(upstream, exchange)
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
                    exchange.fail(self._out_of_time(0), time.monotonic())
                else:
                    exchange.leave(time.monotonic())
                raise
            finally:
                await self._save(exchange, upstream, watch)
        if exchange.error and not exchange.began:
            raise exchange.error
        yield error_event(exchange.error) if exchange.error else DONE

    def _begin(self, request: ChatRequest, caller: Caller, asked: float) -> Exchange:
        requested = request.model or self._settings.groq_default_model
        return Exchange(
            request,
            caller,
            requested_model=requested,
            model=self._settings.groq_model_aliases.get(requested, requested),
            created_at=datetime.now(UTC),
            asked=asked,
            now=time.monotonic(),
        )

    def _watch(self, exchange: Exchange) -> ChatWatch:
        pace = exchange.pace
        watch = self._probe.chat_began(
            exchange.request_id, exchange.payload, arrived=pace.arrived, queue_s=pace.queue_s
        )
        exchange.traceparent = watch.traceparent
        return watch

    async def _open(self, exchange: Exchange, watch: ChatWatch) -> UpstreamStream:
        def on_attempt(attempt: Attempt) -> None:
            exchange.attempted(attempt)
            watch.attempted(attempt)

        try:
            opening = self._groq.open(exchange.payload, on_attempt=on_attempt)
            return await self._drain.within(self._settings.chat_timeout_s, opening)
        except TimeoutError as exc:
            raise self._out_of_time(0) from exc

    async def _read(self, upstream: UpstreamStream, exchange: Exchange) -> Block:
        """The next block, within the time limits. After the first token, blocks gather for a frame of a screen."""
        pace = exchange.pace
        pace.resume(time.monotonic())
        if pace.first_token_at is not None:
            await upstream.pause(self._settings.stream_flush_ms / 1000)
        began = time.monotonic()
        left_s = pace.admitted + self._settings.chat_timeout_s - began
        try:
            if left_s <= 0 or self._drain.over:
                raise TimeoutError
            block = await self._drain.within(min(self._settings.chat_gap_timeout_s, left_s), upstream.read())
        except TimeoutError as exc:
            raise self._out_of_time(left_s) from exc
        now = time.monotonic()
        exchange.add(block, now, waited_s=now - began)
        return block

    def _out_of_time(self, left_s: float) -> ServiceError:
        """Why a wait was cut short: the server stops, or the shorter one of two limits was reached."""
        if self._drain.over:
            return ServerDraining("the server stops; ask again", retry_after=1)
        chat_s, gap_s = self._settings.chat_timeout_s, self._settings.chat_gap_timeout_s
        silent = f"Groq fell silent for {gap_s:g} s"
        return UpstreamTimeout(silent if gap_s < left_s else f"the chat took longer than {chat_s:g} s")

    async def _save(self, exchange: Exchange, upstream: UpstreamStream | None, watch: ChatWatch) -> None:
        """Queues the row at once, then waits until it is durable; cancelling the wait does not cancel the commit.

        Groq is let go of meanwhile.
        """
        record = exchange.record(self._settings.model_prices)
        saving = self._beside(self._finish(exchange, record, self._log.add(record), watch))
        if upstream is not None:
            _ = self._beside(upstream.aclose())
        await asyncio.shield(saving)

    async def _finish(self, exchange: Exchange, record: ChatRecord, durable: Awaitable[None], watch: ChatWatch) -> None:
        """Waits for the commit, and tells who watches how it went."""
        began, error, lost = time.monotonic(), exchange.error, None
        try:
            await durable
        except NotRecorded as exc:
            lost = exc
            exchange.lose(lost)
            record = replace(record, outcome=lost.outcome, error_code=lost.code)
        watch.finished(record, error, commit_s=time.monotonic() - began, lost=lost)

    def _beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that ends even if its chat is cancelled; `wait_idle` waits for it."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task


def _internal(bug: Exception) -> InternalError:
    error = InternalError("the service failed; its operator finds the cause in the log under this request's id")
    error.__cause__ = bug
    return error
