"""The chat service: admits a chat, opens and relays the stream, stores the row, and sends `[DONE]` as its receipt."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial

import anyio

from app.core.config import Settings
from app.core.errors import DrainExpired, InternalError, PersistenceFailed, ServiceError
from app.core.record import ChatRecord, StoredIn, without_content
from app.core.upstream import Attempt, UpstreamBroken
from app.schemas.chat import ChatRequest
from app.services.chat.admission import Admission, resolve_model
from app.services.chat.block import Block
from app.services.chat.chat_record import chat_record
from app.services.chat.ports import (
    ChatQuota,
    ChatTelemetry,
    Prices,
    RecordStore,
    RequestCheck,
    RequestContext,
    Telemetry,
    Upstream,
    UpstreamAnswer,
)
from app.services.chat.session import ChatSession, RunningChats
from app.services.chat.timeouts import Drain, StreamTimeouts
from app.services.chat.timing import ChatTiming


class ChatService:
    """Relays chats and stores their rows. One per process; it holds no state of a single chat.

    `admission` says whether a chat would be admitted, and how many are running.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        upstream: Upstream,
        prices: Prices,
        store: RecordStore,
        telemetry: Telemetry,
        quota: ChatQuota,
        drain: Drain,
        checks: Sequence[RequestCheck] = (),
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._prices = prices
        self._store = store
        self._telemetry = telemetry
        self._quota = quota
        self._drain = drain
        self._checks = checks
        self.admission = Admission(settings, drain=drain, store=store)
        self.running = RunningChats()
        self._closing: set[asyncio.Task[None]] = set()

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for running chats, their rows, and answers that are being closed, at most `timeout_s`."""
        with anyio.move_on_after(timeout_s):
            await self.admission.wait_idle()
            if self._closing:
                await asyncio.wait(self._closing)  # the timeout cancels none of them

    async def answer(self, request: ChatRequest, context: RequestContext) -> AsyncGenerator[bytes]:
        """Yields the answer, byte for byte as the provider sent it.

        A stream is yielded in blocks of events; the last one is `[DONE]`, sent when the row is durable. Raises a
        ServiceError before the first block; a later failure is an `event: error` without `[DONE]`. Without `stream`,
        the provider's JSON is yielded when the row is durable, and every failure is raised.
        """
        session, telemetry = await self._admit(request, context)
        timeouts = StreamTimeouts(self._settings, self._drain, session.timing)
        answer: UpstreamAnswer | None = None
        try:
            answer = await timeouts.open(self._open(session, telemetry))
            while not session.received.ended:
                block = await self._read(answer, session, timeouts)
                if block.data:
                    yield block.data
                if block.error:
                    raise block.error
            session.complete(time.monotonic())
        except ServiceError as error:
            session.fail(error, time.monotonic())
        except Exception as bug:  # noqa: BLE001 - any failure ends with a row and an error for the client
            session.fail(InternalError(cause=bug), time.monotonic())
        except (asyncio.CancelledError, GeneratorExit):
            if self._drain.expired:  # uvicorn cancels streams that outlast the drain
                session.fail(DrainExpired(), time.monotonic())
            else:
                session.disconnect(time.monotonic())
            raise
        finally:
            timeouts.close()
            if answer is not None:
                self._close_in_background(answer)
            await self._store_record(session, telemetry)
        for part in session.last_parts():
            yield part

    async def _admit(self, request: ChatRequest, context: RequestContext) -> tuple[ChatSession, ChatTelemetry]:
        """Waits for admission, reserves space for the row, and runs the checks. `_release` undoes both."""
        models = resolve_model(request, self._settings)
        requested, row_bytes = time.monotonic(), self._settings.row_bytes(context.body_bytes)
        await self.admission.enter(row_bytes)
        try:
            admitted = time.monotonic()
            timing = ChatTiming(arrived=context.arrived, requested=requested, admitted=admitted)
            session = ChatSession(request, context, models=models, timing=timing)  # now, as it computes `created_at`
            for check in self._checks:
                await check(request, context)
            telemetry = self._telemetry.chat_began(
                context.request_id,
                session.payload,
                arrived=context.arrived,
                admitted=admitted,
                queue_s=timing.queue_s,
            )
        except BaseException:
            self.admission.leave(row_bytes)
            raise
        session.context.body_memory.hold()
        self.running.add(session)
        session.traceparent = telemetry.traceparent
        return session, telemetry

    async def _open(self, session: ChatSession, telemetry: ChatTelemetry) -> UpstreamAnswer:
        def on_attempt(attempt: Attempt) -> None:
            session.add_attempt(attempt)
            telemetry.attempted(attempt)

        return await self._upstream.open(session.payload, on_attempt=on_attempt)

    async def _read(self, answer: UpstreamAnswer, session: ChatSession, timeouts: StreamTimeouts) -> Block:
        """Reads the next block and records it. Its data is what the client is sent now."""
        started = time.monotonic()
        session.timing.on_block_accepted(started)  # `yield` returned: the client has accepted the last block
        block = await timeouts.read(answer)
        now = time.monotonic()
        session.add_block(block, now, waited_s=now - started)
        if not session.streamed:
            block = replace(block, data=b"")  # sent when the row is durable
        if session.answer_bytes > (limit := self._settings.chat_max_answer_bytes):
            session.received.ended = False  # otherwise `fail` would count it as completed, if this block is its last
            # The provider's failure: no model's answer is as long as the default limit.
            return replace(block, error=UpstreamBroken(f"the answer is longer than {limit} bytes"))
        return block

    async def _store_record(self, session: ChatSession, telemetry: ChatTelemetry) -> None:
        """Queues the row at once, and returns when it is durable or could not be stored, and `_finish` was called.

        If the wait is cancelled, because the client has left, the row is stored and `_finish` called all the same.
        """
        try:
            record = chat_record(session, self._prices.price)
            if session.request.store is False or not self._settings.stores_content:
                record = without_content(record)
            durable = self._store.add(record)
            self._quota.ended(record)
            durable.add_done_callback(partial(self._finish, session, record, telemetry))
        except BaseException:
            self._release(session)
            raise
        await asyncio.wait((durable,))  # it does not cancel what it waits for

    def _finish(
        self, session: ChatSession, record: ChatRecord, telemetry: ChatTelemetry, durable: asyncio.Future[StoredIn]
    ) -> None:
        """Frees the chat's resources, and reports the result, when `durable` is done."""
        self._release(session)
        commit_s = time.monotonic() - session.timing.finished
        error, cause = session.error, durable.exception()
        if cause is None:
            telemetry.finished(record, error, commit_s=commit_s, stored_in=durable.result(), failure=None)
        else:  # a bug of the store, too, is no receipt
            failure = cause if isinstance(cause, PersistenceFailed) else PersistenceFailed(cause)
            record = session.not_stored(failure, record)
            telemetry.finished(record, error, commit_s=commit_s, stored_in=None, failure=failure)

    def _close_in_background(self, answer: UpstreamAnswer) -> None:
        """Closes the answer in a task that is not cancelled with its chat; `wait_idle` waits for it."""
        closing = asyncio.create_task(answer.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _release(self, session: ChatSession) -> None:
        self.running.remove(session)
        self.admission.leave(self._settings.row_bytes(session.context.body_bytes))
        session.context.body_memory.release()
