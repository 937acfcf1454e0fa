"""The story of one chat: admit, open, relay, save, and a receipt as the last word."""

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import anyio

from app.chat.admission import Admission
from app.chat.block import Block
from app.chat.events import DONE, error_event
from app.chat.exchange import Exchange
from app.chat.ports import ChatLog, Probe, Upstream, UpstreamStream
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

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for the streams that still run, but not for ever."""
        with anyio.move_on_after(timeout_s):
            await self._admission.wait_idle()

    async def stream(
        self, request: ChatRequest, *, request_id: UUID, client_request_id: str | None = None
    ) -> AsyncGenerator[bytes]:
        """Groq's events as they came, in blocks; the last one is `[DONE]`, sent when the row is durable.

        Raises a ServiceError while nothing has been sent. Later a failure is an `event: error`, without `[DONE]`.
        """
        with self._admission.slot():
            exchange = self._begin(request, request_id, client_request_id)
            upstream: UpstreamStream | None = None
            try:
                upstream = await self._groq.open(exchange.payload, on_attempt=exchange.attempted)
                while not exchange.ended:
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
            finally:
                exchange.leave(time.monotonic())  # where it has not ended yet, the client has gone
                await self._save(exchange, upstream)
        if exchange.error and not exchange.began:
            raise exchange.error
        yield error_event(exchange.error) if exchange.error else DONE

    def _begin(self, request: ChatRequest, request_id: UUID, client_request_id: str | None) -> Exchange:
        requested = request.model or self._settings.groq_default_model
        return Exchange(
            request,
            id=request_id,
            requested_model=requested,
            model=self._settings.groq_model_aliases.get(requested, requested),
            created_at=datetime.now(UTC),
            now=time.monotonic(),
            client_request_id=client_request_id,
        )

    async def _read(self, upstream: UpstreamStream, exchange: Exchange) -> Block:
        """The next block, within the time limits. After the first token, blocks gather for a frame of a screen."""
        if exchange.has_first_token:
            await upstream.pause(self._settings.stream_flush_ms / 1000)
        gap_s = self._settings.chat_gap_timeout_s
        left_s = exchange.started + self._settings.chat_timeout_s - time.monotonic()
        if left_s <= 0:
            raise UpstreamTimeout(f"the chat took longer than {self._settings.chat_timeout_s:g} s")
        try:
            block = await upstream.read(min(gap_s, left_s))
        except TimeoutError as exc:
            if left_s < gap_s:
                raise UpstreamTimeout(f"the chat took longer than {self._settings.chat_timeout_s:g} s") from exc
            raise UpstreamTimeout(f"Groq fell silent for {gap_s:g} s") from exc
        exchange.add(block, time.monotonic())
        return block

    async def _save(self, exchange: Exchange, upstream: UpstreamStream | None) -> None:
        """Queues the row, lets go of Groq, and waits until the row is durable, even if the client has gone."""
        record = exchange.record(self._settings.model_prices)
        durable = self._log.add(record)
        with anyio.CancelScope(shield=True):
            try:
                if upstream is not None:
                    await upstream.aclose()
                await durable
            except NotRecorded as lost:
                exchange.lose(lost)
                record = replace(record, outcome=lost.outcome)
        self._probe.chat_finished(record, exchange.error)


def _internal(bug: Exception) -> InternalError:
    error = InternalError("the service failed; its operator finds the cause in the log under this request's id")
    error.__cause__ = bug
    return error
