"""The story of one chat: admit, open, relay, save, and a receipt as the last word."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime

import anyio

from app.chat.admission import Admission
from app.chat.block import Block
from app.chat.caller import Caller
from app.chat.events import DONE, error_event
from app.chat.exchange import Exchange
from app.chat.ports import ChatLog, Probe, Upstream, UpstreamStream
from app.chat.record import ChatRecord
from app.core.config import Settings
from app.core.errors import InternalError, NotRecorded, ServiceError, UpstreamTimeout
from app.schemas.chat import ChatRequest


class ChatService:
    """Relays chats and keeps them. One for the life of the process; it holds nothing of any single chat."""

    def __init__(self, settings: Settings, *, groq: Upstream, log: ChatLog, probe: Probe) -> None:
        self._settings = settings
        self._groq = groq
        self._log = log
        self._probe = probe
        self._admission = Admission(max_active=settings.max_active_streams)
        self._saving: set[asyncio.Task[None]] = set()

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for the streams that still run and the rows that are being kept, but not for ever."""
        with anyio.move_on_after(timeout_s):
            await self._admission.wait_idle()
            await asyncio.gather(*self._saving, return_exceptions=True)

    async def stream(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes]:
        """Groq's events as they came, in blocks; the last one is `[DONE]`, sent when the row is durable.

        Raises a ServiceError while nothing has been sent. Later a failure is an `event: error`, without `[DONE]`.
        """
        with self._admission.slot():
            exchange = self._begin(request, caller)
            upstream: UpstreamStream | None = None
            try:
                upstream = await self._groq.open(exchange.payload, on_attempt=exchange.attempted)
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
                exchange.leave(time.monotonic())
                raise
            finally:
                await self._save(exchange, upstream)
        if exchange.error and not exchange.began:
            raise exchange.error
        yield error_event(exchange.error) if exchange.error else DONE

    def _begin(self, request: ChatRequest, caller: Caller) -> Exchange:
        requested = request.model or self._settings.groq_default_model
        return Exchange(
            request,
            caller,
            requested_model=requested,
            model=self._settings.groq_model_aliases.get(requested, requested),
            created_at=datetime.now(UTC),
            now=time.monotonic(),
        )

    async def _read(self, upstream: UpstreamStream, exchange: Exchange) -> Block:
        """The next block, within the time limits. After the first token, blocks gather for a frame of a screen."""
        if exchange.has_first_token:
            await upstream.pause(self._settings.stream_flush_ms / 1000)
        chat_s, gap_s = self._settings.chat_timeout_s, self._settings.chat_gap_timeout_s
        left_s = exchange.started + chat_s - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            block = await upstream.read(min(gap_s, left_s))
        except TimeoutError as exc:
            what = f"Groq fell silent for {gap_s:g} s" if gap_s < left_s else f"the chat took longer than {chat_s:g} s"
            raise UpstreamTimeout(what) from exc
        exchange.add(block, time.monotonic())
        return block

    async def _save(self, exchange: Exchange, upstream: UpstreamStream | None) -> None:
        """Queues the row at once, then waits until it is durable; cancelling the wait does not cancel the commit."""
        record = exchange.record(self._settings.model_prices)
        saving = asyncio.create_task(self._finish(exchange, record, self._log.add(record), upstream))
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)
        await asyncio.shield(saving)

    async def _finish(
        self, exchange: Exchange, record: ChatRecord, durable: Awaitable[None], upstream: UpstreamStream | None
    ) -> None:
        """Lets go of Groq, waits for the commit, and tells the probe how it went."""
        lost: NotRecorded | None = None
        if upstream is not None:
            await upstream.aclose()
        try:
            await durable
        except NotRecorded as exc:
            lost = exc
            exchange.lose(lost)
            record = replace(record, outcome=lost.outcome, error_code=lost.code)
        self._probe.chat_finished(record, lost or exchange.error)


def _internal(bug: Exception) -> InternalError:
    error = InternalError("the service failed; its operator finds the cause in the log under this request's id")
    error.__cause__ = bug
    return error
