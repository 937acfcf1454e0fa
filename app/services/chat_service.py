"""The chat service: admits a chat, opens and relays the stream, stores the row, and sends `[DONE]` as its receipt."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

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
        self._background_tasks: set[asyncio.Task[None]] = set()

    async def wait_idle(self, timeout_s: float) -> None:
        """Waits for running chats and for rows that are being stored, at most `timeout_s`."""
        with anyio.move_on_after(timeout_s):
            await self.admission.wait_idle()
            if self._background_tasks:
                await asyncio.wait(self._background_tasks)  # the timeout cancels none of them

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
                _ = self._run_in_background(answer.aclose())
            await asyncio.shield(self._store_record(session, request, telemetry))
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

    def _store_record(self, session: ChatSession, request: ChatRequest, telemetry: ChatTelemetry) -> asyncio.Task[None]:
        """Queues the row at once, and returns a task that waits until it is durable."""
        try:
            record = chat_record(session, self._prices.price)
            if request.store is False or not self._settings.stores_content:
                record = without_content(record)
            durable = self._store.add(record)
            self._quota.ended(record)
        except BaseException:
            self._release(session)
            raise
        return self._run_in_background(self._finish(session, record, durable, telemetry))

    async def _finish(
        self, session: ChatSession, record: ChatRecord, durable: Awaitable[StoredIn], telemetry: ChatTelemetry
    ) -> None:
        """Waits until the row is durable, frees the chat's resources, and reports the result."""
        started, error, stored_in, failure = time.monotonic(), session.error, None, None
        try:
            stored_in = await durable
        except PersistenceFailed as exc:
            failure = exc
            record = session.not_stored(failure, record)
        finally:
            self._release(session)
        telemetry.finished(record, error, commit_s=time.monotonic() - started, stored_in=stored_in, failure=failure)

    def _release(self, session: ChatSession) -> None:
        self.running.remove(session)
        self.admission.leave(self._settings.row_bytes(session.context.body_bytes))
        session.context.body_memory.release()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task that is not cancelled with its chat; `wait_idle` waits for it."""
        task = asyncio.create_task(work)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)
        return task
